"""Faces: FER+ crops (48 px grey, ten votes each) against eight emotions.

Two protocols. `accuracy` and its fellows take the class with most votes of the eight, on every
face that has a vote for one. `accuracy_majority` is the protocol of the FER+ paper (Barsoum et al.
2016): single votes are struck out as outliers, and only faces with one class of the eight above
half of the remaining votes count.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.errors import DataError
from models.evaluate.files import choose, existing, read_arrays, several_classes
from models.evaluate.sheet import Answers, Asked, Sheet, checked, classification, in_batches
from models.labels import FERPLUS
from models.types import FACE_PX

FORMATS = ("ferplus",)
UNUSED = ("unknown", "not_face")
BATCH = 256


def read(path: Path, asked: Asked) -> Sheet:
    """An npz with `pixels`, `votes` and, optionally, `split` and `classes`."""
    file = existing(path, "faces/ferplus48.npz", "ferplus48.npz", *_only_npz(path))
    arrays = read_arrays(file, ("pixels", "votes"))
    pixels, votes = _pixels(file, arrays["pixels"]), _votes(file, arrays)
    splits = arrays["split"].astype(str).tolist() if "split" in arrays else None
    chosen = choose(file, splits, len(pixels), asked.split)
    eight = votes[:, : len(FERPLUS)]
    kept = chosen.rows & (eight.sum(1) > 0)
    labels = eight[kept].argmax(1)
    if len(labels) == 0:
        raise DataError(f"{file}: expected faces with votes for an emotion, got none in the split")
    several_classes(file, [FERPLUS[label] for label in labels])
    strict = majority_labels(votes[kept])
    without = int((chosen.rows & (eight.sum(1) == 0)).sum())
    return Sheet(
        task="faces", path=file, form="ferplus", n=len(labels), split=chosen.split,
        described=chosen.described, classes=FERPLUS,
        answer=lambda model: _answer(model, pixels[kept], labels, strict, asked),
        excluded={"votes for 'unknown' or 'not_face' only": without} if without else {},
        notes=(
            f"accuracy_majority: the {(strict >= 0).sum()} faces with a strict majority, "
            "as in the FER+ paper; everything else: most votes, all faces",
        ),
        trained_on=chosen.trained,
    )  # fmt: skip


def majority_labels(votes: np.ndarray) -> np.ndarray:
    """(B, 10) votes -> class above half of the votes once single votes are struck out, or -1."""
    votes = np.where(votes > 1, votes, 0).astype(int)
    best = votes.argmax(1)
    clear = votes.max(1) * 2 > votes.sum(1)
    return np.where(clear & (best < len(FERPLUS)), best, -1)


def _only_npz(path: Path) -> list[str]:
    found = [file.name for file in path.glob("*.npz")] if path.is_dir() else []
    return found if len(found) == 1 else []


def _pixels(file: Path, pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[1:] != (FACE_PX, FACE_PX) or pixels.dtype.kind not in "uif":
        raise DataError(
            f"{file}: expected pixels (N, {FACE_PX}, {FACE_PX}) of 0 to 255, "
            f"got {pixels.dtype} {pixels.shape}"
        )
    odd = ~np.isfinite(pixels).all((1, 2)) | (pixels.min((1, 2)) < 0) | (pixels.max((1, 2)) > 255)
    if odd.any():
        row = int(odd.argmax())
        raise DataError(f"{file}, row {row}: expected pixels from 0 to 255, got others")
    if pixels.dtype.kind == "f" and 0 < pixels.max(initial=0) <= 1:
        raise DataError(f"{file}: expected pixels from 0 to 255, got 0 to 1; multiply by 255")
    return np.rint(pixels).astype(np.uint8)


def _votes(file: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Votes (N, 10) in the order of FERPLUS, then unknown and not_face."""
    order = (*FERPLUS, *UNUSED)
    votes = arrays["votes"]
    if votes.ndim != 2 or votes.shape[1] != len(order):
        raise DataError(f"{file}: expected votes (N, {len(order)}), got {votes.shape}")
    if not np.isfinite(votes).all() or (votes < 0).any():
        row = int((~np.isfinite(votes) | (votes < 0)).any(1).argmax())
        raise DataError(f"{file}, row {row}: expected counts of votes, got {votes[row].tolist()}")
    if "classes" not in arrays:
        return votes
    names = arrays["classes"].astype(str).tolist()
    if sorted(names) != sorted(order):
        raise DataError(f"{file}: expected the classes {', '.join(order)}, got {', '.join(names)}")
    return votes[:, [names.index(name) for name in order]]


def _answer(
    model: Any, pixels: np.ndarray, labels: np.ndarray, strict: np.ndarray, asked: Asked
) -> Answers:
    parts = in_batches(model.predict, pixels, BATCH, asked.progress, "faces")
    found = checked(np.concatenate(parts), len(labels), len(FERPLUS), "faces")
    guess = metrics.decide(found)

    def on_majority(rows: np.ndarray) -> float:
        rows = rows[strict[rows] >= 0]
        return metrics.accuracy(guess[rows], strict[rows])

    figures = classification(found, labels)
    figures["accuracy_majority"] = on_majority
    return Answers(figures=figures, abstained=guess == metrics.ABSTAINED)
