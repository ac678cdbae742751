"""Faces: 48 px grey crops -> probabilities over the eight FER+ classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import weights
from models.encoders.faces import FaceEncoder


class FacePredictor(Protocol):
    """predict: uint8 (B, 48, 48) -> float (B, 8) over FERPLUS; a row of NaN abstains."""

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities of a batch."""
        ...


class Neural:
    """The face encoder with its head."""

    def __init__(self, folder: Path) -> None:
        self._model = weights.load(FaceEncoder(), folder, "faces")

    @torch.inference_mode()
    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, 48, 48) -> (B, 8)."""
        tokens = self._model(torch.from_numpy(np.ascontiguousarray(pixels)))
        return self._model.ferplus_logits(tokens).softmax(-1).numpy()


MODELS: dict[str, Callable[[], FacePredictor]] = {"shipped": lambda: Neural(weights.SHIPPED)}


def load(name: str) -> FacePredictor:
    """A model by name, or the weights in a folder."""
    return MODELS[name]() if name in MODELS else Neural(Path(name))
