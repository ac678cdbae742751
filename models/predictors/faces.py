"""Faces: 48 px grey crops -> probabilities over the eight FER+ classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import weights
from models.encoders.faces import FaceEncoder
from models.labels import FERPLUS
from models.predictors import plain
from models.predictors.linear import FOLDER, Linear, hog
from models.types import FACE_PX


class FacePredictor(Protocol):
    """predict: uint8 (B, 48, 48) -> float (B, 8) over FERPLUS; a row of NaN abstains."""

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities of a batch."""
        ...


class Neural:
    """The face encoder with its head; `mirrored`: the mean of a face and its mirror image.

    The live pipeline does without the mirror image, which would double its time.
    """

    def __init__(self, folder: Path, *, mirrored: bool = True) -> None:
        self._model = weights.load(FaceEncoder(), folder, "faces")
        self._mirrored = mirrored

    @torch.inference_mode()
    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, 48, 48) -> (B, 8)."""
        guess = self._of(pixels)
        return (guess + self._of(pixels[:, :, ::-1])) / 2 if self._mirrored else guess

    def _of(self, pixels: np.ndarray) -> np.ndarray:
        tokens = self._model(torch.from_numpy(np.ascontiguousarray(pixels)))
        probabilities: np.ndarray = self._model.ferplus_logits(tokens).softmax(-1).numpy()
        return probabilities


class HogLinear:
    """Softmax regression on histograms of oriented gradients."""

    def __init__(self, folder: Path) -> None:
        inputs = hog(np.zeros((1, FACE_PX, FACE_PX), np.uint8)).shape[1]
        self._model = weights.load(Linear(inputs, len(FERPLUS)), folder, "hog-linear")

    @torch.inference_mode()
    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, 48, 48) -> (B, 8)."""
        probabilities: np.ndarray = self._model(torch.from_numpy(hog(pixels))).softmax(-1).numpy()
        return probabilities


MODELS: dict[str, Callable[[], FacePredictor]] = {
    "shipped": lambda: Neural(weights.SHIPPED),
    "live": lambda: Neural(weights.SHIPPED, mirrored=False),
    "hog-linear": lambda: HogLinear(FOLDER),
}


def load(name: str) -> FacePredictor:
    """A model by name, or the weights in a folder."""
    if name in MODELS:
        return MODELS[name]()
    folder = Path(name)
    return plain.PlainFaces(folder) if plain.holds(folder) else Neural(folder)
