"""Does an affect lexicon add to what the text encoder knows? VADER's scores beside its tokens.

VADER (Hutto & Gilbert 2014) reads words by a lexicon, with negation, boosters and smileys. A ridge
regression on sentiment is fitted on validation texts, which the encoder did not learn from, and
reported on our own test part. The named alternative is the same regression without VADER.

`python -m benchmarks.lexicon --data ../shared/data`; needs the extra `train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from benchmarks.report import show, write
from models import score_metrics, weights
from models.analyser import Analyser
from models.bootstrap import paired
from models.data.text import Row, load_parts
from models.encoders.text import collate
from models.network import Network
from models.runtime import Run
from models.threads import limit_threads

SETS = ("sst5", "cr", "mosi")
PENALTIES = np.geomspace(1e-2, 1e4, 25)


def features(stage: Run, rows: list[Row]) -> dict[str, np.ndarray]:
    """(N, F) of each kind: tokens, VADER's four scores, both."""
    vader = SentimentIntensityAnalyzer()
    scores = [list(vader.polarity_scores(row.text).values()) for row in rows]
    batches = (collate([row.text]) for row in rows)
    tokens = np.concatenate([stage(ids.numpy(), mask.numpy())[0] for ids, mask in batches])
    both = np.concatenate([tokens, scores], 1)
    return {"VADER": np.array(scores), "tokens": tokens, "tokens and VADER": both}


def predicted(fit: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Fitted on (N, F) and (N,), asked of (K, F); the penalty by leave-one-out error."""
    said: np.ndarray = (
        make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(fit, y).predict(other)
    )
    return said


def main() -> None:
    """A row for each set and kind of features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    limit_threads(1)
    stage = Analyser.load(weights.SHIPPED, device="cpu").stages["text"]
    parts = {split: load_parts(given.data, split) for split in ("valid", "test")}
    rows = {split: [row for name in SETS for row in parts[split][name]] for split in parts}
    table = {split: features(stage, rows[split]) for split in parts}
    truth = {s: np.array([row.sentiment for row in rows[s]], np.float64) for s in parts}
    which = np.repeat(SETS, [len(parts["test"][name]) for name in SETS])
    said = {k: predicted(x, truth["valid"], table["test"][k]) for k, x in table["valid"].items()}
    said["encoder's own head"] = _head(table["test"]["tokens"])
    found = []
    for name in SETS:
        at = np.flatnonzero((which == name) & (truth["test"] != 0))
        for kind, guess in said.items():
            found.append(_row(name, kind, guess[at], said["tokens"][at], truth["test"][at]))
    show("sentiment, our own test part, fitted on validation", found)
    write("lexicon", {"rows": found, "fitted on": len(rows["valid"])})


@torch.inference_mode()
def _head(tokens: np.ndarray) -> np.ndarray:
    said: np.ndarray = (
        Network.load(weights.SHIPPED).text.sentiment(torch.from_numpy(tokens)).numpy()
    )
    return said


def _row(
    name: str, kind: str, guess: np.ndarray, without: np.ndarray, truth: np.ndarray
) -> dict[str, object]:
    def right(of: np.ndarray) -> np.ndarray:
        return ((of > 0) == (truth > 0)).astype(float)

    test = paired(
        lambda i: float(right(guess)[i].mean()),
        lambda i: float(right(without)[i].mean()),
        len(truth),
    )
    return {
        "set": name, "n": len(truth), "features": kind, "sign": float(right(guess).mean()),
        "r": score_metrics.pearson_r(guess, truth), "against tokens": test["difference"],
        "p": test["p"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
