"""Encoders from outside: any Hugging Face or ONNX model of one modality, behind one interface.

Invariants: nothing is fetched unless `allow_download` says so; nothing is unpickled and no code
that comes with a model is run; no row's result depends on the others of its batch.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import ExternalError
from models.labels import (
    EMOTION_OF,
    GOEMOTIONS_TO_EMOTION,
    VALENCE_VECTOR,
)
from models.types import EMOTIONS, MODALITIES

# Names that the usual corpora give to the seven emotions, and the short forms of IEMOCAP.
KNOWN_LABELS = {
    **GOEMOTIONS_TO_EMOTION, **EMOTION_OF,
    "ang": "anger", "hap": "happiness", "sad": "sadness", "neu": "neutral", "fea": "fear",
    "dis": "disgust", "sur": "surprise",
}  # fmt: skip
_FLOOR = 1e-8  # probability of an emotion that a classifier has no label for


@dataclass(frozen=True, kw_only=True)
class ExternalSpec:
    """Where an encoder is and how it is read; exactly one of `huggingface` and `onnx`.

    huggingface: a folder, or a name on the Hub. onnx: a YAML or JSON description (see OnnxSpec).
    labels: the model's label -> one of our emotions, or None to leave it out.
    head: safetensors with `weight` (7, D) and `bias` (7,) over the tokens of a model without one.
    """

    modality: str
    huggingface: str = ""
    onnx: str = ""
    allow_download: bool = False
    labels: Mapping[str, str | None] = field(default_factory=dict)
    head: str = ""


@dataclass(frozen=True)
class Encoded:
    """tokens (B, D); logits (B, 7) over EMOTIONS, None where the model is no classifier."""

    tokens: Tensor
    logits: Tensor | None

    @property
    def sentiment(self) -> Tensor:
        """(B,) in [-1, 1]: the mean valence of the emotions."""
        if self.logits is None:
            raise ExternalError("this encoder has no emotions; give it `labels` or a `head`")
        return self.logits.softmax(-1) @ torch.from_numpy(VALENCE_VECTOR)


class External(ABC):
    """An encoder from outside. `classifies`: whether it has logits over our emotions."""

    modality: str
    width: int
    classifies: bool
    revision: str

    @abstractmethod
    def encode(self, inputs: Any) -> Encoded:
        """Texts (list of str), clips (list of float32 16 kHz) or faces (uint8 (B, H, W[, 3]))."""

    def tokens(self, inputs: Any) -> Tensor:
        """Inputs -> (B, D)."""
        return self.encode(inputs).tokens

    def logits(self, inputs: Any) -> Tensor:
        """Inputs -> (B, 7) log-probabilities over EMOTIONS."""
        found = self.encode(inputs).logits
        if found is None:
            raise ExternalError(f"{self.revision}: no classifier; give it `labels` or a `head`")
        return found

    def sentiment(self, inputs: Any) -> Tensor:
        """Inputs -> (B,) in [-1, 1]."""
        return self.encode(inputs).sentiment


def load(spec: ExternalSpec) -> External:
    """Open what `spec` names; `ExternalError` with one line where that fails."""
    if spec.modality not in MODALITIES:
        raise ExternalError(f"modality {spec.modality!r}: expected one of: {', '.join(MODALITIES)}")
    if bool(spec.huggingface) == bool(spec.onnx):
        raise ExternalError("an encoder from outside needs either `huggingface` or `onnx`")
    if spec.onnx:
        from models.encoders.external_onnx import OnnxEncoder

        return OnnxEncoder(spec)
    from models.encoders.external_huggingface import open_huggingface

    return open_huggingface(spec)


def label_matrix(names: Sequence[str], chosen: Mapping[str, str | None], origin: str) -> Tensor:
    """0/1 (C, 7): which emotion each of the model's labels counts for."""
    lowered = {name.lower(): emotion for name, emotion in chosen.items()}
    strange = sorted(set(lowered) - {name.lower() for name in names})
    if strange:
        raise ExternalError(f"{origin}: no label {strange[0]!r}; the model has: {', '.join(names)}")
    matrix, unknown = torch.zeros(len(names), len(EMOTIONS)), []
    for row, name in enumerate(names):
        emotion = lowered.get(name.lower(), KNOWN_LABELS.get(name.lower(), ""))
        if emotion is None:
            continue
        if emotion not in EMOTIONS:
            unknown.append(name)
            continue
        matrix[row, EMOTIONS.index(emotion)] = 1.0
    if unknown:
        raise ExternalError(
            f"{origin}: unknown labels {', '.join(unknown)}; give `labels` that map each to one "
            f"of {', '.join(EMOTIONS)}, or to null to leave it out"
        )
    if not matrix.any():
        raise ExternalError(f"{origin}: every label is left out; nothing is left to predict")
    return matrix


def to_emotions(probabilities: Tensor, matrix: Tensor) -> Tensor:
    """(B, C) and (C, 7) -> (B, 7) log-probabilities, labels left out taken away."""
    summed = (probabilities @ matrix).clamp_min(_FLOOR)
    return (summed / summed.sum(-1, keepdim=True)).log()


def read_head(path: str, width: int) -> tuple[Tensor, Tensor]:
    """`weight` (7, D) and `bias` (7,) of a linear head."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
        weight, bias = state["weight"].float(), state["bias"].float()
    except (OSError, SafetensorError, KeyError) as error:
        raise ExternalError(
            f"head {path}: expected safetensors with weight and bias: {error}"
        ) from None
    if weight.shape != (len(EMOTIONS), width) or bias.shape != (len(EMOTIONS),):
        raise ExternalError(
            f"head {path}: expected weight ({len(EMOTIONS)}, {width}) and bias "
            f"({len(EMOTIONS)},), got {tuple(weight.shape)} and {tuple(bias.shape)}"
        )
    return weight, bias


def grey_faces(inputs: np.ndarray) -> np.ndarray:
    """uint8 (B, H, W) or (B, H, W, 3) -> uint8 (B, H, W, 3)."""
    faces = np.asarray(inputs)
    if faces.dtype != np.uint8 or faces.ndim not in (3, 4):
        raise ExternalError(f"expected faces uint8 (B, H, W[, 3]), got {faces.dtype} {faces.shape}")
    return faces if faces.ndim == 4 else np.repeat(faces[..., None], 3, -1)


def digest(*parts: str) -> str:
    """A short name for what is loaded."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def existing(path: str, what: str) -> Path:
    """The file `path`, or an error that names it."""
    found = Path(path)
    if not found.is_file():
        raise ExternalError(f"{what} {path}: no such file")
    return found
