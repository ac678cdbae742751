"""Cross-modal transformer: every modality listens to every other, causally.

Tsai et al. 2019, "Multimodal transformer for unaligned multimodal language sequences" (MulT), with
causal masks: step t hears steps up to t. Then each stream listens to itself, and the last states
stand side by side. Keys and values are cached, so a stream costs one step at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.fusions.base import State, StepFusion
from models.fusions.causal import CausalBlock


class CrossModal(StepFusion):
    """One cross-modal block per ordered pair, one self-attention block per modality."""

    def __init__(
        self, widths: Mapping[str, int], *, width: int = 24, memory: int = 64, **options: Any
    ) -> None:
        super().__init__(widths, width=width, **options)
        count = len(widths)
        self.absent = nn.Parameter(torch.randn(count, width) * 0.02)
        self.across = nn.ModuleDict(
            {
                f"{i}<{j}": CausalBlock(width, self.drop.p, memory)
                for i in range(count)
                for j in range(count)
                if i != j
            }
        )
        self.within = nn.ModuleList(
            CausalBlock(width, self.drop.p, memory) for _ in range(count)
        )  # fmt: skip
        self.join = nn.Sequential(
            nn.LayerNorm(count * width), nn.Linear(count * width, width), nn.GELU()
        )

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        asking = torch.where(mask.unsqueeze(-1), x, self.absent)
        any_here = mask.any(-1)
        caches = {} if state is None else state
        streams = []
        for i, within in enumerate(self.within):
            own = asking[..., i, :]
            for j in range(len(self.names)):
                if i != j:
                    key = f"{i}<{j}"
                    own, caches[key] = self.across[key](
                        own, x[..., j, :], mask[..., j], caches.get(key)
                    )
            own, caches[str(i)] = within(own, own, any_here, caches.get(str(i)))
            streams.append(own)
        return self.join(torch.cat(streams, -1)), self.no_loss(x)
