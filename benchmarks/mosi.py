"""Every fusion of the registry on CMU-MOSI, against models that were trained on one modality.

Trains each over several seeds by configs/recipes/mosi.yaml, stops on the SDK's validation videos
and reports on our own test videos (models/data/mosi.py), with every subset of the modalities. One
checkpoint gives all figures of a seed. Run: python -m benchmarks.mosi --data ../shared/data
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from benchmarks.report import show, write
from models import metrics
from models.align.contrastive import chance_at_k, recall_at_k
from models.bootstrap import intervals, paired
from models.errors import DataError
from models.evaluate.mosi import FIGURES
from models.fusions import FUSIONS
from models.mosi import MODALITIES, MosiNetwork
from models.threads import limit_threads
from models.train.engine import Training
from models.train.mosi import SUBSETS, MosiTask, build
from models.train.recipe import Recipe, read_recipe
from models.train.workers import Group

RECIPE = Path(__file__).parent.parent / "configs" / "recipes" / "mosi.yaml"
PARTS = ("test", "valid")
Guesses = dict[tuple[str, str], list[np.ndarray]]  # (part, subset) -> by seed, by row


def trained(recipe: Recipe, data: Path, cache: Path) -> tuple[MosiTask, MosiNetwork]:
    """One training; nothing of it is kept on disk."""
    task = build(recipe, data, cache)
    torch.manual_seed(recipe.seed)
    training = Training(task, task.model(), recipe, torch.device("cpu"), Group.current())
    with tempfile.TemporaryDirectory() as folder:
        training.run(Path(folder), {})
    model = training.best_model()
    assert isinstance(model, MosiNetwork)
    return task, model


class Row:
    """One line of the table: the same recipe over several seeds."""

    def __init__(self, name: str, recipe: Recipe, seeds: int, data: Path, cache: Path) -> None:
        self.name = name
        self.guesses: Guesses = {}
        self.recalls: list[dict[str, float]] = []
        for seed in range(seeds):
            task, model = trained(msgspec.structs.replace(recipe, seed=seed), data, cache)
            only = task.options.only
            for part in PARTS:
                for subset, shown in SUBSETS.items():
                    if not only or subset == only:
                        said = task.predict(model, part, shown)
                        self.guesses.setdefault((part, subset), []).append(said)
            if not only:
                self.recalls.append(recalls(task, model))
        self.truth = {part: task.segments[part].sentiment.astype(float) for part in PARTS}
        self.video = {part: task.segments[part].video for part in PARTS}
        self.parameters = sum(p.numel() for p in model.parameters())

    def figure(self, part: str, subset: str, name: str, rows: np.ndarray) -> float:
        """Mean over the seeds of a metric over some rows."""
        truth = self.truth[part][rows]
        said = self.guesses[part, subset]
        return float(np.mean([FIGURES[name](guess[rows], truth) for guess in said]))

    def summary(self, part: str, subset: str) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation over the seeds, by metric."""
        truth = self.truth[part]
        return {
            name: metrics.over_seeds(
                [_or_zero(metric, g, truth) for g in self.guesses[part, subset]]
            )
            for name, metric in FIGURES.items()
        }


def _or_zero(metric: Any, guess: np.ndarray, truth: np.ndarray) -> float:
    try:
        return float(metric(guess, truth))
    except DataError:  # a constant prediction has no correlation
        return 0.0


@torch.inference_mode()
def recalls(task: MosiTask, model: MosiNetwork) -> dict[str, float]:
    """How well the sound of an utterance finds its text among those of the test part, and back."""
    data = task.padded["test"]
    projected = model(data.text, data.audio, data.here).projected
    text, audio = (projected[m][data.here.all(-1)].numpy() for m in MODALITIES)
    found = {}
    for k in (1, 10):
        found[f"audio_to_text@{k}"] = recall_at_k(audio, text, None, k)
        found[f"text_to_audio@{k}"] = recall_at_k(text, audio, None, k)
        found[f"chance@{k}"] = chance_at_k(None, len(text), k)
    return found


def compare(row: Row, other: Row, subset: str) -> dict[str, Any]:
    """Paired bootstrap of `row` with everything against `other` with `subset`, on the test part.

    By utterance and by whole videos.
    """
    n = len(row.truth["test"])
    result = {}
    for name in ("mae", "pearson_r", "acc2_negative_positive"):
        ours = partial(row.figure, "test", "text+audio", name)
        theirs = partial(other.figure, "test", subset, name)
        for how, groups in (("utterance", None), ("video", row.video["test"])):
            result[f"{name} by {how}"] = paired(ours, theirs, n, groups, resamples=500)
    return result


def recipes(base: Recipe, text: dict[str, Any]) -> dict[str, Recipe]:
    """The rows of the table."""

    def made(model: str, **data: Any) -> Recipe:
        options = {**base.options}
        if model != "context":
            options = {k: v for k, v in options.items() if k not in ("inner", "memory")}
        return msgspec.structs.replace(
            base, model=model, options=options, data={**base.data, **text, **data}
        )

    rows = {f"{m} only": made("gated", only=m, contrastive=0.0) for m in MODALITIES}
    rows |= {name: made(name, contrastive=0.0) for name in FUSIONS}
    rows["as shipped"] = made(base.model)
    for weight in (0.03, 0.1, 0.3):
        rows[f"gated, contrastive {weight}"] = made("gated", contrastive=weight)
    rows["gated, no dropout of modalities"] = made(
        "gated", contrastive=0.0, hide_video=0.0, hide_step=0.0
    )
    return rows


def shown(rows: dict[str, Row], part: str, subset: str) -> list[dict[str, str]]:
    """A table of means and deviations."""
    table = []
    for row in rows.values():
        if (part, subset) in row.guesses:
            cells = {k: f"{m:.3f} ±{s:.3f}" for k, (m, s) in row.summary(part, subset).items()}
            table.append({"model": row.name, "n": str(row.parameters), **cells})
    return table


def main() -> None:
    """Train, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--text", default="shipped", help="folder of the text encoder's weights")
    parser.add_argument("--tokens", default="", help="npy of other text tokens, by row of the file")
    parser.add_argument("--only", nargs="*", help="rows by name")
    parser.add_argument("--name", default="mosi", help="of the JSON file")
    given = parser.parse_args()
    limit_threads(1)
    text = {"tokens": given.tokens} if given.tokens else {"text": given.text}
    wanted = recipes(read_recipe(RECIPE), text)
    rows = {
        name: Row(name, recipe, given.seeds, given.data, given.cache)
        for name, recipe in wanted.items()
        if not given.only or name in given.only
    }
    figures: dict[str, Any] = {"seeds": given.seeds, "text": text, "figures": {}, "recall": {}}
    for part in PARTS:
        for subset in SUBSETS:
            show(f"CMU-MOSI {part}, {subset}, {given.seeds} seeds", shown(rows, part, subset))
            figures["figures"][f"{part} {subset}"] = {
                name: row.summary(part, subset)
                for name, row in rows.items() if (part, subset) in row.guesses
            }  # fmt: skip
    table = []
    for name, row in rows.items():
        if row.recalls:
            found = {k: metrics.over_seeds([r[k] for r in row.recalls]) for k in row.recalls[0]}
            figures["recall"][name] = found
            table.append({"model": name, **{k: f"{m:.3f} ±{s:.3f}" for k, (m, s) in found.items()}})
    if table:
        show("Retrieval on the test part", table)
    alone = rows.get("text only")
    if alone:
        figures["against text only"] = {
            name: compare(row, alone, "text") for name, row in rows.items() if row.recalls
        }
        table = [
            {"model": name, **{k: f"{v['difference']:+.3f} p {v['p']:.2f}"
             for k, v in found.items()}}
            for name, found in figures["against text only"].items()
        ]  # fmt: skip
        show("text+audio against text only (paired bootstrap, test part)", table)
        n = len(alone.truth["test"])
        figures["interval"] = {
            name: intervals(
                {k: partial(row.figure, "test", "text+audio", k) for k in FIGURES}, n,
                row.video["test"], resamples=200,
            )
            for name, row in rows.items() if row.recalls
        }  # fmt: skip
    write(given.name, figures)


if __name__ == "__main__":
    main()
