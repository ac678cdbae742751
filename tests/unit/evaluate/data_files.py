"""Small labelled files of the shapes that `attune evaluate` reads, and predictors with a script."""

from __future__ import annotations

import csv
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluate.measure import Bootstrap, Report
from models.evaluate.run import evaluate
from models.evaluate.sheet import Asked
from models.evaluate.speech import SPEECH
from models.labels import FERPLUS, SOUNDS
from models.types import EMOTIONS

TEN = (*FERPLUS, "unknown", "not_face")


def run(
    task: str, path: Path, model: Any, *, bootstrap: int = 0, baseline: Any = None, **asked: Any
) -> Report:
    """One report of a scripted predictor, by the way that the command takes."""
    models = {"scripted": model, "baseline": baseline}
    (found,) = evaluate(
        task, path, Asked(**asked), models=("scripted",),
        baseline=None if baseline is None else "baseline",
        bootstrap=Bootstrap(resamples=bootstrap), opener=lambda name: (str(name), models[name]),
    )  # fmt: skip
    return found


def one_hot(classes: Sequence[int], width: int, sure: float = 0.9) -> np.ndarray:
    """Probabilities that name these classes."""
    rows = np.full((len(classes), width), (1 - sure) / (width - 1))
    rows[np.arange(len(classes)), list(classes)] = sure
    return rows


class FacesByBrightness:
    """Names class k for a face whose pixels are all k; 255 abstains."""

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        named = pixels[:, 0, 0].astype(int)
        rows = one_hot(np.minimum(named, 7), 8)
        rows[named == 255] = np.nan
        return rows


def write_faces(
    path: Path, named: Sequence[int], votes: Sequence[dict[str, int]], **more: Any
) -> Path:
    """Faces that `FacesByBrightness` will name so, with the given votes."""
    pixels = np.stack([np.full((48, 48), k, np.uint8) for k in named])
    table = np.array([[v.get(name, 0) for name in TEN] for v in votes], np.uint8)
    np.savez(path, pixels=pixels, votes=table, **more)
    return path


class SpeechByLength:
    """Names the class whose index is the length of the clip in tenths of a second, less two."""

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        return one_hot([round(len(c) / 1600) - 2 for c in clips], len(SPEECH))


class SoundByLength:
    """Likewise, over the ten sounds."""

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        return one_hot([round(len(c) / 1600) - 2 for c in clips], len(SOUNDS))


def write_wave(path: Path, seconds: float) -> None:
    """A soft tone at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(np.arange(round(16_000 * seconds)) * 0.1) * 3000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone.astype(np.int16).tobytes())


def write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """A CSV with the columns of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


class TextByWord:
    """The emotion that a text contains by name, and the sentiment "+" or "-"; keeps the context."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[list[int]] | None]] = []

    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((texts, dialogue))
        named = [next((i for i, e in enumerate(EMOTIONS) if e in t), 0) for t in texts]
        said = [0.8 * ("+" in t) - 0.8 * ("-" in t) for t in texts]
        return one_hot(named, len(EMOTIONS)), np.array(said)
