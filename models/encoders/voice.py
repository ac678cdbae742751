"""Voice to tokens: a head over what the trunk makes of a hop, pooled over the hops with speech."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.encoders.trunk import Listener, Trunk

SPEECH = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


class VoiceEncoder(Listener):
    """(B, T, 64) frames of one hop behind 24 of context -> token (B, D); `pool`; `logits`.

    temperature: divides the logits of whole clips; the live ones are calibrated by the pool.
    """

    temperature: Tensor
    stored_bits: ClassVar = {"trunk.": 8}

    def __init__(self, dropout: float = 0.3) -> None:
        trunk = Trunk()  # first, so that a seed gives the same head as ever
        super().__init__(len(SPEECH), dropout)
        self.trunk = trunk
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 64) -> (B, D)."""
        return self.token(self.trunk.statistics(frames))

    def speech_logits(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 8) over SPEECH."""
        return self.head(self.dropout(pooled)) / self.temperature

    def logits(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 7) over EMOTIONS: calm adds to neutral."""
        return fold_calm(self.head(self.dropout(pooled)))


def fold_calm(logits: Tensor) -> Tensor:
    """(B, 8) over SPEECH -> (B, 7) over EMOTIONS, the probabilities of calm and neutral added."""
    neutral = logits[:, :2].logsumexp(1, keepdim=True)
    return torch.cat([neutral, logits[:, 2:]], 1)
