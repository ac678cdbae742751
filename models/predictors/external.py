"""`attune evaluate --model hf:PATH` and `onnx:DESCRIPTION`: classifiers from outside as predictors.

Their seven emotions are spread over a task's classes by name; classes that only the task knows
(contempt of FER+, calm of RAVDESS) get nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.encoders.external import External, ExternalSpec, load
from models.errors import ExternalError
from models.labels import FERPLUS, FERPLUS_TO_EMOTION, SPEECH_TO_EMOTION
from models.types import EMOTIONS

PREFIXES = {"hf:": "huggingface", "onnx:": "onnx"}
_BATCH = 64
_MODALITY = {"text": "text", "speech": "audio", "faces": "video"}
_CLASSES = {
    "faces": tuple(FERPLUS_TO_EMOTION[c] if c != "contempt" else "" for c in FERPLUS),
    "speech": tuple("" if c == "calm" else e for c, e in SPEECH_TO_EMOTION.items()),
}


def is_external(name: str) -> bool:
    """Whether `--model NAME` asks for a model from outside."""
    return name.startswith(tuple(PREFIXES))


def open_external(task: str, name: str) -> Any:
    """The predictor of a task for `hf:PATH` or `onnx:DESCRIPTION`; nothing is ever fetched."""
    if task not in _MODALITY:
        raise ExternalError(f"{name}: models from outside serve {', '.join(_MODALITY)}, not {task}")
    prefix = next(p for p in PREFIXES if name.startswith(p))
    spec = {PREFIXES[prefix]: name.removeprefix(prefix)}
    encoder = load(ExternalSpec(modality=_MODALITY[task], **spec))  # type: ignore[arg-type]
    if not encoder.classifies:
        raise ExternalError(f"{name}: expected a classifier of emotions, got an encoder only")
    return _Text(encoder) if task == "text" else _Classes(encoder, _CLASSES[task])


class _Text:
    def __init__(self, encoder: External) -> None:
        self._encoder = encoder

    def predict(
        self, texts: Sequence[str], dialogue: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Texts -> emotions (B, 7) and sentiment (B,); earlier turns are left unread."""
        found = [self._encoder.encode(list(part)) for part in _parts(texts)]
        shares = [f.logits.exp().numpy() for f in found if f.logits is not None]
        said = [f.sentiment.numpy() for f in found]
        empty = np.zeros((0, len(EMOTIONS)), np.float32)
        return np.concatenate([empty, *shares]), np.concatenate([empty[:, 0], *said])


class _Classes:
    def __init__(self, encoder: External, classes: Sequence[str]) -> None:
        self._encoder = encoder
        self._spread = np.zeros((len(EMOTIONS), len(classes)), np.float32)
        for column, emotion in enumerate(classes):
            if emotion:
                self._spread[EMOTIONS.index(emotion), column] = 1.0

    def predict(self, inputs: Any) -> np.ndarray:
        """Faces uint8 (B, 48, 48) or clips float32 at 16 kHz -> probabilities (B, classes)."""
        shares = [
            self._encoder.logits(part).exp().numpy() @ self._spread for part in _parts(inputs)
        ]
        return np.concatenate([np.zeros((0, self._spread.shape[1]), np.float32), *shares])


def _parts(inputs: Any) -> list[Any]:
    return [inputs[i : i + _BATCH] for i in range(0, len(inputs), _BATCH)]
