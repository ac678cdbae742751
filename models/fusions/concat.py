"""Concatenation, with a learned vector in the place of what is absent.

Early fusion as reviewed by Baltrusaitis et al. 2019, "Multimodal machine learning: a survey and
taxonomy".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.fusions.base import State, StepFusion


class Concat(StepFusion):
    """One hidden layer over the modalities side by side."""

    def __init__(self, widths: Mapping[str, int], **options: Any) -> None:
        super().__init__(widths, **options)
        self.absent = nn.Parameter(torch.randn(len(widths), self.width) * 0.02)
        size = len(widths) * self.width
        self.join = nn.Sequential(nn.Linear(size, self.width), nn.GELU())

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        filled = torch.where(mask.unsqueeze(-1), x, self.absent)
        return self.join(self.drop(filled.flatten(-2))), self.no_loss(x)
