"""Weighted: a gate per modality, softmax over those that are there.

After the gated multimodal unit of Arevalo et al. 2017, "Gated multimodal units for information
fusion"; the gates of the present modalities sum to 1 and see each modality only if it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.fusions.base import State, StepFusion
from models.pooling import masked_softmax


class Gated(StepFusion):
    """hidden = sum of gate_m * tanh(W_m x_m)."""

    def __init__(self, widths: Mapping[str, int], **options: Any) -> None:
        super().__init__(widths, **options)
        m, w = len(widths), self.width
        self.inner = nn.Parameter(torch.randn(m, w, w) / w**0.5)
        self.gate = nn.Linear(m * w, m)

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        said = torch.einsum("btmi,mij->btmj", x, self.inner).tanh()
        weights = masked_softmax(self.gate(x.flatten(-2)), mask)
        return (weights.unsqueeze(-1) * said).sum(-2), self.no_loss(x)
