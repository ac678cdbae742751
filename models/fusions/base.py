"""What every fusion of the registry is: tokens of any modalities in, one score per step out.

The grid is shared: step t of every modality is the same hop or utterance. What is absent is
replaced before anything is computed from it, so its content can never matter.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InputError

State = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """sentiment (B, T); emotions: logits (B, T, C), C = 0 where none are configured."""

    sentiment: Tensor
    emotions: Tensor


@dataclass(frozen=True)
class Fused:
    """What a fusion says of every step; zeros where `present` is false: there is no evidence.

    present: bool (B, T), whether any modality is there. alone: the unimodal heads, by modality.
    hidden: (B, T, W). projected: (B, T, W) by modality, zeros where absent.
    loss: scalar that the fusion itself adds in training, such as a reconstruction error.
    """

    sentiment: Tensor
    emotions: Tensor
    present: Tensor
    alone: dict[str, Said]
    hidden: Tensor
    projected: dict[str, Tensor]
    loss: Tensor


class Heads(nn.Module):
    """(B, T, W) -> sentiment and emotion logits."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.out = nn.Linear(width, 1 + classes)

    def forward(self, hidden: Tensor, mask: Tensor) -> Said:
        """Zeros where the mask is false."""
        both = self.out(hidden).masked_fill(~mask.unsqueeze(-1), 0.0)
        return Said(both[..., 0], both[..., 1:])


class StepFusion(nn.Module):
    """Projects each modality to one width and leaves to a subclass how they are mixed.

    widths: size of the tokens, by modality; the order is kept. width: that of everything inside.
    classes: number of emotions, or 0. dropout: on the tokens and inside.
    """

    def __init__(
        self, widths: Mapping[str, int], *, width: int = 32, classes: int = 0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.width = width
        self.drop = nn.Dropout(dropout)
        self.project = nn.ModuleDict(
            {m: nn.Sequential(nn.LayerNorm(d), nn.Linear(d, width)) for m, d in widths.items()}
        )
        self.alone = nn.ModuleDict({m: Heads(width, classes) for m in widths})
        self.head = Heads(width, classes)

    @abstractmethod
    def mix(self, x: Tensor, mask: Tensor, state: State | None) -> tuple[Tensor, Tensor]:
        """x (B, T, M, W), zeros where mask (B, T, M) is false -> hidden (B, T, W), added loss.

        With a `state`, the steps continue those seen before, and the state is brought up to date.
        """

    def start(self) -> State:
        """The state of a stream before its first step."""
        return {}

    def forward(self, tokens: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Fused:
        """Whole sequences: (B, T, D_m) and bool (B, T) by modality; a modality may be left out."""
        return self._run(tokens, masks, None)

    def step(
        self, state: State, tokens: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> Fused:
        """The next steps (B, T', ...) of a stream; `state` is brought up to date."""
        return self._run(tokens, masks, state)

    def _run(
        self, tokens: Mapping[str, Tensor], masks: Mapping[str, Tensor], state: State | None
    ) -> Fused:
        mask = self._availability(tokens, masks)
        x = self._project(tokens, mask)
        hidden, loss = self.mix(x, mask, state)
        present = mask.any(-1)
        hidden = hidden.masked_fill(~present.unsqueeze(-1), 0.0)
        said = self.head(self.drop(hidden), present)
        alone = {m: self.alone[m](x[..., i, :], mask[..., i]) for i, m in enumerate(self.names)}
        projected = {m: x[..., i, :] for i, m in enumerate(self.names)}
        return Fused(said.sentiment, said.emotions, present, alone, hidden, projected, loss)

    def _availability(self, tokens: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        unknown = [m for m in tokens if m not in self.names]
        if unknown or not tokens:
            raise InputError(
                f"tokens: expected some of {', '.join(self.names)}, "
                f"got {unknown[0] if unknown else 'none'}"
            )
        some = masks[next(iter(tokens))]
        for m, rows in tokens.items():
            if rows.shape[:-1] != some.shape or masks[m].shape != some.shape:
                raise InputError(
                    f"tokens[{m!r}]: expected (B, T, D) on one grid {tuple(some.shape)}, "
                    f"got {tuple(rows.shape)} with a mask {tuple(masks[m].shape)}"
                )
        none = torch.zeros_like(some)
        return torch.stack([masks[m] if m in tokens else none for m in self.names], -1)

    def _project(self, tokens: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """(B, T, M, W), zeros where absent."""
        rows = []
        for i, m in enumerate(self.names):
            here = mask[..., i].unsqueeze(-1)
            if m in tokens:
                known = torch.where(here, tokens[m], 0.0)
                rows.append(torch.where(here, self.project[m](self.drop(known)), 0.0))
            else:
                rows.append(torch.zeros(*mask.shape[:2], self.width, device=mask.device))
        return torch.stack(rows, -2)

    def no_loss(self, x: Tensor) -> Tensor:
        """Nothing to add."""
        return x.new_zeros(())
