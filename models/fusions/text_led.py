"""Text-led: the text decides what of the other modalities is worth hearing.

Zhang et al. 2023, "Learning language-guided adaptive hyper-modality representation for multimodal
sentiment analysis" (ALMT): a hyper-modality is built by attention with the text as the query and
the other modalities as what is told; then the text listens to it. Causal here, as `mult` is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InputError
from models.fusions.base import State, StepFusion
from models.fusions.causal import CausalAttention, CausalBlock


class TextLed(StepFusion):
    """`leader` names the modality that asks; where it is absent, a learned vector asks."""

    def __init__(
        self, widths: Mapping[str, int], *, leader: str = "text", memory: int = 64, **options: Any
    ) -> None:
        super().__init__(widths, **options)
        if leader not in widths:
            raise InputError(f"leader: expected one of {', '.join(widths)}, got {leader!r}")
        self.lead = self.names.index(leader)
        self.followers = [i for i in range(len(widths)) if i != self.lead]
        self.asks = nn.Parameter(torch.randn(self.width) * 0.02)
        self.hyper = nn.Parameter(torch.randn(self.width) * 0.02)
        self.ask = nn.ModuleList(
            CausalAttention(self.width, memory=memory) for _ in self.followers
        )  # fmt: skip
        self.listen = CausalBlock(self.width, self.drop.p, memory)
        self.norm = nn.LayerNorm(self.width)

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        caches = {} if state is None else state
        here = mask[..., self.lead].unsqueeze(-1)
        text = torch.where(here, x[..., self.lead, :], self.asks)
        hyper = self.hyper.expand_as(text)
        for i, ask in zip(self.followers, self.ask, strict=True):
            key = f"ask{i}"
            heard, caches[key] = ask(text, x[..., i, :], mask[..., i], caches.get(key))
            hyper = hyper + heard
        hidden, caches["listen"] = self.listen(text, hyper, mask.any(-1), caches.get("listen"))
        return self.norm(hidden), self.no_loss(x)
