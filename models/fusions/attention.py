"""Attention over the modalities of a step, with availability masks.

After Hori et al. 2017, "Attention-based multimodal fusion for video description": a learned query
asks each modality that is there, in several heads; a modality vector says who speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.fusions.base import State, StepFusion
from models.pooling import masked_softmax


class Attention(StepFusion):
    """One query per head; then a residual hidden layer."""

    def __init__(self, widths: Mapping[str, int], *, heads: int = 4, **options: Any) -> None:
        super().__init__(widths, **options)
        w = self.width
        self.heads = heads
        self.who = nn.Parameter(torch.randn(len(widths), w) * 0.1)
        self.query = nn.Parameter(torch.randn(heads, w // heads))
        self.key = nn.Linear(w, w, bias=False)
        self.value = nn.Linear(w, w)
        self.norm = nn.LayerNorm(w)
        self.further = nn.Sequential(nn.Linear(w, w), nn.GELU(), nn.Linear(w, w))

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        x = x + self.who
        keys = self.key(x).unflatten(-1, (self.heads, -1))  # (B, T, M, H, W / H)
        values = self.value(x).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("btmhd,hd->bthm", keys, self.query) / keys.shape[-1] ** 0.5
        weights = masked_softmax(scores, mask.unsqueeze(-2).expand(scores.shape))
        heard = torch.einsum("bthm,btmhd->bthd", weights, values).flatten(-2)
        return heard + self.drop(self.further(self.norm(heard))), self.no_loss(x)
