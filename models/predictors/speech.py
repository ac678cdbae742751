"""Speech: whole clips -> probabilities over eight acted emotions; without speech they abstain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import features, weights
from models.data.speech import analyse
from models.encoders.voice import SPEECH as CLASSES
from models.encoders.voice import VoiceEncoder
from models.labels import SPEECH_TO_EMOTION
from models.predictors import plain
from models.predictors.linear import FOLDER, MFCC_N, Linear
from models.train.voice_hops import SPEECH as HEARD
from models.train.voice_hops import hops_of
from models.train.voice_svm import MODEL, cepstra
from models.vad import SileroVad, VadState

AT_ONCE = 64  # hops
_COLUMNS = [CLASSES.index(name) for name in SPEECH_TO_EMOTION]


class SpeechPredictor(Protocol):
    """predict: clips float32 (N,) at 16 kHz -> float (B, 8); a row of NaN abstains."""

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Probabilities of a batch, in the order of SPEECH_TO_EMOTION."""
        ...


class Neural:
    """The voice encoder with its head, over all spoken hops of a clip."""

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
        if heard.max() < HEARD:
            return np.full(len(_COLUMNS), np.nan)
        at = np.minimum(np.arange(len(mel)) * features.STEP_N // 512, len(heard) - 1)
        hops, mask = hops_of(mel, heard[at])
        parts = torch.from_numpy(hops).split(AT_ONCE)
        tokens = torch.cat([self._model(part) for part in parts]).unsqueeze(0)
        pooled = self._model.pool(tokens, torch.from_numpy(mask).unsqueeze(0))
        probabilities: np.ndarray = self._model.speech_logits(pooled).softmax(-1)[0].numpy()
        return probabilities[_COLUMNS]


class MfccSvm:
    """The linear support vector machine on cepstra of a clip's speech."""

    def __init__(self, folder: Path) -> None:
        self._model = weights.load(Linear(4 * MFCC_N, len(CLASSES)), folder, MODEL)
        self._vad = SileroVad()

    @torch.inference_mode()
    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """B clips -> (B, 8)."""
        rows = [analyse(features.sanitise(clip), self._vad) for clip in clips]
        table = np.stack([cepstra(mel, speech) for mel, speech in rows])
        probabilities: np.ndarray = self._model(torch.from_numpy(table)).softmax(-1).numpy()
        return probabilities[:, _COLUMNS]


MODELS: dict[str, Callable[[], SpeechPredictor]] = {
    "shipped": lambda: Neural(weights.SHIPPED),
    "mfcc-svm": lambda: MfccSvm(FOLDER),
}


def load(name: str) -> SpeechPredictor:
    """A model by name, or the weights in a folder."""
    if name in MODELS:
        return MODELS[name]()
    folder = Path(name)
    return plain.PlainSpeech(folder) if plain.holds(folder) else Neural(folder)
