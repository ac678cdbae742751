"""A causal context over earlier windows or utterances, on top of any other fusion.

A gated recurrent unit (Cho et al. 2014) over the fused steps, as Poria et al. 2017,
"Context-dependent sentiment analysis in user-generated videos", do with an LSTM; forwards only.
A step without any modality leaves the memory as it is. The context is added to the fused step
through a gate that starts nearly shut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InputError
from models.fusions.base import State, StepFusion
from models.fusions.registry import WITHIN


class Context(StepFusion):
    """`inner` names the fusion beneath; the projections and all heads are the context's own."""

    def __init__(
        self, widths: Mapping[str, int], *, inner: str = "gated", memory: int = 16, **options: Any
    ) -> None:
        shared = ("width", "classes", "dropout")
        own: dict[str, Any] = {key: options.pop(key) for key in shared if key in options}
        super().__init__(widths, **own)
        if inner not in WITHIN:
            raise InputError(f"inner: expected one of {', '.join(WITHIN)}, got {inner!r}")
        options.update(own, width=self.width)
        self.inner = WITHIN[inner](widths, **options)
        del self.inner.project, self.inner.alone, self.inner.head
        self.gru = nn.GRU(self.width, memory, batch_first=True)
        self.recall = nn.Linear(memory, self.width)
        self.open = nn.Parameter(torch.tensor(0.1))

    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """See `StepFusion.mix`."""
        inner_state = None if state is None else state.setdefault("inner", self.inner.start())
        hidden, loss = self.inner.mix(x, mask, inner_state)
        before = None if state is None else state.get("memory")
        heard, after = self._remember(hidden, mask.any(-1), before)
        if state is not None:
            state["memory"] = after
        return hidden + self.open * self.recall(self.drop(heard)), loss

    def _remember(
        self, hidden: Tensor, present: Tensor, before: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(B, T, W) and (B, T) -> memory after each step (B, T, H), and after all (1, B, H).

        Present steps are moved to the front, in order, so that the recurrence skips the others.
        """
        order = torch.argsort((~present).to(torch.uint8), dim=1, stable=True)
        moved = hidden.gather(1, order.unsqueeze(-1).expand_as(hidden))
        outputs, _ = self.gru(moved, before)
        if before is None:
            before = hidden.new_zeros(1, len(hidden), self.gru.hidden_size)
        states = torch.cat([before.transpose(0, 1), outputs], 1)
        at = present.cumsum(1).unsqueeze(-1).expand(-1, -1, states.shape[-1])
        heard = states.gather(1, at)
        return heard, heard[:, -1:].transpose(0, 1).contiguous()
