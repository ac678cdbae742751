"""Joint encoder-decoder: what is absent is rebuilt from what is there, then all are joined.

The idea of Pham et al. 2019, "Found in translation" (MCTN: a joint representation that can be
decoded into another modality), with the training of Yuan et al. 2021 (TFR-Net: rebuild what was
hidden, and be told how well): each present modality is hidden in turn and rebuilt from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.fusions.base import State, StepFusion


class Reconstruct(StepFusion):
    """A joint code of those that are there; a decoder per modality; a second look at all."""

    def __init__(
        self, widths: Mapping[str, int], *, reconstruction: float = 0.1, **options: Any
    ) -> None:
        super().__init__(widths, **options)
        m, w = len(widths), self.width
        self.reconstruction = reconstruction
        self.encode = nn.Sequential(nn.Linear(m * (w + 1), w), nn.GELU(), nn.Linear(w, w))
        self.decode = nn.ModuleList(
            nn.Sequential(nn.Linear(w, w), nn.GELU(), nn.Linear(w, w)) for _ in widths
        )
        self.join = nn.Sequential(nn.Linear((m + 1) * w, w), nn.GELU())

    def code(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, M, W) and (B, T, M) -> (B, T, W); who is there is part of the input."""
        seen = torch.where(mask.unsqueeze(-1), x, 0.0).flatten(-2)
        return self.encode(torch.cat([seen, mask.to(x.dtype)], -1))

    def rebuilt(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, M, W): each modality as the others tell it."""
        told = []
        for i, decode in enumerate(self.decode):
            others = mask.clone()
            others[..., i] = False
            told.append(decode(self.code(x, others)))
        return torch.stack(told, -2)

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        told = self.rebuilt(x, mask)
        whole = torch.where(mask.unsqueeze(-1), x, told)
        joint = self.code(x, mask)
        hidden = self.join(self.drop(torch.cat([whole.flatten(-2), joint], -1)))
        return hidden, self._loss(told, x, mask)

    def _loss(self, told: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error where the truth is there and something else could tell it."""
        known = mask & (mask.sum(-1, keepdim=True) > 1)
        error = F.mse_loss(told, x.detach(), reduction="none").mean(-1)
        return self.reconstruction * (error * known).sum() / known.sum().clamp_min(1)
