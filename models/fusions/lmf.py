"""Low-rank tensor fusion: products across the modalities without the tensor.

Liu et al. 2018, "Efficient low-rank multimodal fusion with modality-specific factors": each
modality gets a 1 appended and is multiplied by its own rank-R factors; the products are summed
over the rank. The factor of an absent modality is left out of the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.fusions.base import State, StepFusion


class LowRankTensor(StepFusion):
    """hidden = sum over r of weight_r * product over m of [x_m, 1] F_m,r."""

    def __init__(self, widths: Mapping[str, int], *, rank: int = 4, **options: Any) -> None:
        super().__init__(widths, **options)
        m, w = len(widths), self.width
        self.factors = nn.Parameter(torch.randn(m, rank, w, w) / w**0.5)
        self.ones = nn.Parameter(torch.ones(m, rank, w))  # the factors of the appended 1
        self.weight = nn.Parameter(torch.full((rank,), 1 / rank))
        self.bias = nn.Parameter(torch.zeros(w))

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        x = self.drop(x.tanh())  # products of three grow quickly
        parts = torch.einsum("btmi,mrij->btmrj", x, self.factors) + self.ones
        parts = torch.where(mask[..., None, None], parts, 1.0)
        hidden = torch.einsum("btrj,r->btj", parts.prod(-3), self.weight) + self.bias
        return hidden, self.no_loss(x)
