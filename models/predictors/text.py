"""Text: sentences -> probabilities of the seven emotions, and sentiment in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import weights
from models.encoders.text import TextEncoder, collate


class TextPredictor(Protocol):
    """predict: texts and, for each, the earlier turns -> emotions (B, 7), sentiment (B,)."""

    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of a batch; dialogue[i] are the rows of the earlier turns of row i, oldest first."""
        ...


class Neural:
    """The text encoder with its heads; without context as yet."""

    def __init__(self, folder: Path) -> None:
        self._model = weights.load(TextEncoder(), folder, "text")

    @torch.inference_mode()
    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """B texts -> (B, 7), (B,)."""
        tokens = self._model(*collate(texts))
        emotions = self._model.logits(tokens).softmax(-1).numpy()
        return emotions, self._model.sentiment(tokens).numpy()


MODELS: dict[str, Callable[[], TextPredictor]] = {"shipped": lambda: Neural(weights.SHIPPED)}


def load(name: str) -> TextPredictor:
    """A model by name, or the weights in a folder."""
    return MODELS[name]() if name in MODELS else Neural(Path(name))
