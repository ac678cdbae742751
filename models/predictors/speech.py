"""Speech: whole clips -> probabilities over eight acted emotions, by the seven-class encoder.

The encoder has calm within neutral, so calm gets nothing. A clip without speech abstains.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import features, weights
from models.encoders.voice import VoiceEncoder
from models.labels import SPEECH_TO_EMOTION
from models.train.voice import SPEECH as HEARD
from models.train.voice import cut
from models.types import EMOTIONS
from models.vad import SileroVad, VadState

HOP_T = 50
LONGEST_T = 800  # 8 s
_COLUMNS = [None if name == "calm" else EMOTIONS.index(e) for name, e in SPEECH_TO_EMOTION.items()]


class SpeechPredictor(Protocol):
    """predict: clips float32 (N,) at 16 kHz -> float (B, 8); a row of NaN abstains."""

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Probabilities of a batch, in the order of SPEECH_TO_EMOTION."""
        ...


class Neural:
    """The voice encoder with its head, over the spoken hops of at most 8 s."""

    def __init__(self, folder: Path) -> None:
        self._model = weights.load(VoiceEncoder(), folder, "voice")
        self._vad = SileroVad()

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """B clips -> (B, 8)."""
        return np.stack([self._one(clip) for clip in clips])

    @torch.inference_mode()
    def _one(self, clip: np.ndarray) -> np.ndarray:
        samples = features.sanitise(clip)
        lead = np.zeros(features.FRAME_N - features.STEP_N, np.float32)
        mel = features.log_mel(np.concatenate([lead, samples]))
        _, heard = self._vad.step(VadState.initial(), samples)
        if len(mel) == 0 or len(heard) == 0:
            return np.full(len(_COLUMNS), np.nan)
        at = np.minimum(np.arange(len(mel)) * features.STEP_N // 512, len(heard) - 1)
        mel, _ = features.normalise(mel, features.PEAK_FLOOR)
        total = min(LONGEST_T, -(-len(mel) // HOP_T) * HOP_T)
        hops, mask = cut(mel[:total], heard[at][:total], 0, total, HOP_T)
        if heard.max() < HEARD or not mask.any():
            return np.full(len(_COLUMNS), np.nan)
        tokens = self._model(torch.from_numpy(hops)).unsqueeze(0)
        pooled = self._model.pool(tokens, torch.from_numpy(mask).unsqueeze(0))
        seven = self._model.logits(pooled).softmax(-1)[0].numpy()
        return np.array([0.0 if column is None else seven[column] for column in _COLUMNS])


MODELS: dict[str, Callable[[], SpeechPredictor]] = {"shipped": lambda: Neural(weights.SHIPPED)}


def load(name: str) -> SpeechPredictor:
    """A model by name, or the weights in a folder."""
    return MODELS[name]() if name in MODELS else Neural(Path(name))
