"""Does deleting what the explanation names hurt the score more than deleting at random?

Validation samples: FER+ faces, GoEmotions texts, RAVDESS/nEMO/EMO-DB clips of unseen speakers.
Units: blocks of 6 px, words, stretches of 50 ms. The named alternative is random deletion of as
much; the score is the probability of the emotion that the modality itself finds likeliest.

`python -m benchmarks.explain_fidelity [SAMPLES] [DATA]`; data from $ATTUNE_DATA by default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import show, write
from models import weights
from models.bootstrap import paired
from models.explain.fidelity import Deletable, curve, drop
from models.explain.samples import SAMPLES
from models.network import Network
from models.threads import limit_threads

SHARE = 0.2
FRACTIONS = tuple(i / 10 for i in range(11))


def main() -> None:
    """One row for each modality."""
    limit_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    data = Path(
        sys.argv[2] if len(sys.argv) > 2 else os.environ.get("ATTUNE_DATA", "../shared/data")
    )
    network = Network.load(weights.SHIPPED)
    rows = [_row(name, samples(network, data, n)) for name, samples in SAMPLES.items()]
    show(f"fall of the score after deleting {SHARE:.0%}, validation samples", rows)
    write("explain_fidelity", {"samples": n, "share": SHARE, "rows": rows})


def _row(name: str, samples: Iterator[Deletable]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    drops, areas = [], []
    for sample in samples:
        drops.append(drop(sample, SHARE, rng))
        best = curve(sample, FRACTIONS, np.argsort(-sample.shares, kind="stable"))
        chance = curve(sample, FRACTIONS, rng.permutation(len(sample.shares)))
        areas.append((best.mean(), chance.mean()))
    top, random, bottom = (
        np.array([getattr(d, side) for d in drops]) for side in ("top", "random", "bottom")
    )
    test = paired(lambda i: float(top[i].mean()), lambda i: float(random[i].mean()), len(drops))
    best, chance = np.mean(areas, 0)
    return {
        "modality": name,
        "n": len(drops),
        "top": float(top.mean()),
        "random": float(random.mean()),
        "bottom": float(bottom.mean()),
        "difference": test["difference"],
        "95 % from": test["low"],
        "to": test["high"],
        "p": test["p"],
        "mean of curve, top first": float(best),
        "at random": float(chance),
    }


if __name__ == "__main__":
    main()
