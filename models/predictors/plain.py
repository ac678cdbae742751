"""The plain network's branches behind the interface of the encoders they are compared with.

It is not shipped: `attune train configs/recipes/plain.yaml` makes it, `--model RUN` names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import weights
from models.encoders.plain import PlainNet, frames_of, word_ids
from models.labels import FERPLUS, FERPLUS_TO_EMOTION, VALENCE_VECTOR
from models.types import EMOTIONS

PART = "plain"
SPEECH = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_OF_SPEECH = ("neutral", None, "happiness", "sadness", "anger", "fear", "disgust", "surprise")
_OF_FACES = [None if name == "contempt" else FERPLUS_TO_EMOTION[name] for name in FERPLUS]


def holds(folder: Path) -> bool:
    """Whether a folder holds a plain network."""
    return (folder / weights.MANIFEST).exists() and PART in weights.read_manifest(folder)["parts"]


def network(folder: Path) -> PlainNet:
    """The plain network of a folder."""
    return weights.load(PlainNet(), folder, PART)


def _spread(logits: Tensor, names: Sequence[str | None]) -> np.ndarray:
    """(B, 7) logits -> probabilities over `names`; 0 for the classes that it was never taught."""
    seven = logits.softmax(-1).numpy()
    columns = [seven[:, EMOTIONS.index(n)] if n else np.zeros(len(seven)) for n in names]
    return np.stack(columns, 1)


class PlainFaces:
    """uint8 (B, 48, 48) -> (B, 8) over FERPLUS; contempt gets nothing."""

    def __init__(self, folder: Path) -> None:
        self._model = network(folder)

    @torch.inference_mode()
    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities of a batch."""
        faces = torch.from_numpy(np.ascontiguousarray(pixels))
        return _spread(self._model.only(0, self._model.see(faces)), _OF_FACES)


class PlainSpeech:
    """Clips -> (B, 8) over SPEECH; calm gets nothing."""

    def __init__(self, folder: Path) -> None:
        self._model = network(folder)

    @torch.inference_mode()
    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Probabilities of float32 clips at 16 kHz."""
        frames = torch.from_numpy(np.stack([frames_of(clip) for clip in clips]))
        return _spread(self._model.only(1, self._model.hear(frames)), _OF_SPEECH)


class PlainText:
    """Texts -> emotions (B, 7) and their expected valence (B,)."""

    def __init__(self, folder: Path) -> None:
        self._model = network(folder)

    @torch.inference_mode()
    def predict(
        self, texts: list[str], dialogue: list[list[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each text for itself; earlier turns are not looked at."""
        logits = self._model.only(2, self._model.read(word_ids(texts)))
        emotions = _spread(logits, EMOTIONS)
        return emotions, emotions @ VALENCE_VECTOR
