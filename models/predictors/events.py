"""Sound events: clips -> probabilities over the ten sounds of ESC-10."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import weights
from models.data.sounds import log_mel
from models.encoders import sounds
from models.encoders.voice import VoiceEncoder
from models.labels import SOUNDS
from models.predictors.linear import FOLDER, MFCC_N, Linear, mfcc


class EventPredictor(Protocol):
    """predict: clips float32 (N,) at 16 kHz -> float (B, 10) over SOUNDS."""

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Probabilities of a batch."""
        ...


class Neural:
    """The sound encoder over all hops of a clip; "other" is left out, as ESC-10 has none.

    A folder without a voice, such as a training's, is taken with the shipped trunk.
    """

    def __init__(self, folder: Path) -> None:
        voiced = "voice" in weights.read_manifest(folder)["parts"]
        voice = weights.load(VoiceEncoder(), folder if voiced else weights.SHIPPED, "voice")
        self._trunk = voice.trunk
        self._model = sounds.load(folder, self._trunk)

    @torch.inference_mode()
    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """B clips -> (B, 10)."""
        logits = [self._of_clip(clip)[: len(SOUNDS)] for clip in clips]
        probabilities: np.ndarray = torch.stack(logits).softmax(-1).numpy()
        return probabilities

    def _of_clip(self, clip: np.ndarray) -> torch.Tensor:
        statistics = sounds.heard(self._trunk, log_mel(clip))
        mask = torch.ones(1, len(statistics), dtype=torch.bool)
        return self._model.of_clips(statistics.unsqueeze(0), mask)[0]


class MfccSvm:
    """A linear support vector machine on the statistics of cepstra."""

    def __init__(self, folder: Path) -> None:
        self._model = weights.load(Linear(4 * MFCC_N, len(SOUNDS)), folder, "mfcc-svm")

    @torch.inference_mode()
    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """B clips -> (B, 10)."""
        x = torch.from_numpy(np.stack([mfcc(log_mel(clip)) for clip in clips]))
        probabilities: np.ndarray = self._model(x).softmax(-1).numpy()
        return probabilities


MODELS: dict[str, Callable[[], EventPredictor]] = {
    "shipped": lambda: Neural(weights.SHIPPED),
    "mfcc-svm": lambda: MfccSvm(FOLDER),
}


def load(name: str) -> EventPredictor:
    """A model by name, or the weights in a folder."""
    return MODELS[name]() if name in MODELS else Neural(Path(name))
