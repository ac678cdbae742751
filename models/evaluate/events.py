"""Sound events: ESC-10 clips of 5 s by a manifest with their fold.

Cross-validation needs one training per fold: a model that was trained on a fold knows its clips,
so a figure on folds 1 to 4 of the shipped weights is not one on unheard sounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.errors import DataError
from models.evaluate import sounds
from models.evaluate.files import Line, choose, existing, read_table, several_classes
from models.evaluate.sheet import Answers, Asked, Sheet, checked, classification, in_batches
from models.labels import SOUNDS

FORMATS = ("manifest",)
BATCH = 16
FOLDS_SEEN = ("1", "2", "3", "4")  # of ESC-10; the shipped weights are trained on them


def read(path: Path, asked: Asked) -> Sheet:
    """A manifest.csv with `path`, `label` and, optionally, `fold` or `split`."""
    file = existing(path, "manifest.csv", "events/manifest.csv")
    lines = read_table(file, ("path", "label"))
    classes = SOUNDS
    names = [_class_of(file, line, classes) for line in lines]
    column = next((c for c in ("split", "fold") if c in lines[0].fields), None)
    splits = [line.fields[column] for line in lines] if column else None
    chosen = choose(file, splits, len(lines), asked.split)
    at = np.flatnonzero(chosen.rows)
    if len(at) == 0:
        raise DataError(f"{file}: expected rows in the split, got none")
    several_classes(file, [names[i] for i in at])
    rows = [lines[i] for i in at]
    labels = np.array([classes.index(names[i]) for i in at])
    recordings = np.array([_recording(line) for line in rows])
    return Sheet(
        task="events", path=file, form="manifest", n=len(rows), split=chosen.split,
        described=chosen.described, classes=classes,
        answer=lambda model: _answer(model, file, rows, labels, len(classes), asked),
        by={"fold": np.array([r.fields["fold"] for r in rows])} if "fold" in rows[0].fields else {},
        clusters=recordings, cluster="recording",
        trained_on=chosen.trained or any(r.fields.get("fold") in FOLDS_SEEN for r in rows),
    )  # fmt: skip


def _class_of(file: Path, line: Line, classes: tuple[str, ...]) -> str:
    """The class of a row; spaces, underscores and case do not count."""
    plain = line.fields["label"].strip().lower().replace("_", "").replace(" ", "")
    if plain not in classes:
        raise DataError(
            f"{file}, line {line.number}: unknown label {line.fields['label']!r}; expected one of "
            f"{', '.join(classes)}"
        )
    return plain


def _recording(line: Line) -> str:
    """Clips cut from one Freesound recording belong together."""
    return line.fields.get("freesound_id") or line.fields["path"]


def _answer(
    model: Any, file: Path, rows: list[Line], labels: np.ndarray, classes: int, asked: Asked
) -> Answers:
    def predict(part: list[Line]) -> Any:
        return model.predict([sounds.load_one(file, line) for line in part])

    parts = in_batches(predict, rows, BATCH, asked.progress, "listening")
    found = checked(np.concatenate(parts), len(rows), classes, "events")
    return Answers(
        figures=classification(found, labels), abstained=metrics.decide(found) == metrics.ABSTAINED
    )
