"""Causal attention between sequences on one grid, whole or step by step.

Multi-head attention of Vaswani et al. 2017 with the recency bias of Press et al. 2022 (ALiBi) in
the place of positions, so that a stream may go on for ever. A query sees its own step and at most
`memory - 1` earlier ones, and of those only what is there; without any it hears zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.pooling import masked_softmax

Cache = tuple[Tensor, Tensor, Tensor]  # keys, values (B, H, S, d), mask (B, S)


class CausalAttention(nn.Module):
    """Queries of one sequence hear another; the keys have no bias, since softmax ignores it."""

    def __init__(self, width: int, heads: int = 4, memory: int = 64) -> None:
        super().__init__()
        self.heads, self.memory = heads, memory
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        slopes = 2.0 ** -torch.linspace(0, 6, heads)
        self.register_buffer("slopes", slopes, persistent=False)

    slopes: Tensor

    def forward(
        self, asking: Tensor, told: Tensor, mask: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """asking, told (B, T, W), mask bool (B, T) of `told` -> (B, T, W) and the cache after.

        The cache holds the last `memory - 1` steps before `told`.
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, asking), (self.key, told), (self.value, told))
        )
        if cache is not None:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            mask = torch.cat([cache[2], mask], 1)
        weights = self._weights(q, k, mask)
        heard = self.out((weights @ v).transpose(1, 2).flatten(-2))
        some = weights[:, 0].sum(-1, keepdim=True) > 0
        keep = min(self.memory - 1, mask.shape[1])
        last = mask.shape[1] - keep
        return torch.where(some, heard, 0.0), (k[:, :, last:], v[:, :, last:], mask[:, last:])

    def _weights(self, q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
        """(B, H, T, S): the last T of the S keys belong to the T queries."""
        t, s = q.shape[2], k.shape[2]
        ago = torch.arange(s - t, s, device=q.device)[:, None] - torch.arange(s, device=q.device)
        near = (ago >= 0) & (ago < self.memory)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores - self.slopes[:, None, None] * ago
        seen = (near & mask.unsqueeze(1)).unsqueeze(1).expand(scores.shape)
        return masked_softmax(scores, seen)


class CausalBlock(nn.Module):
    """Pre-norm attention with a residual, then a hidden layer with another."""

    def __init__(self, width: int, dropout: float, memory: int = 64) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.told = nn.LayerNorm(width)
        self.attend = CausalAttention(width, memory=memory)
        self.between = nn.LayerNorm(width)
        self.further = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(
        self, x: Tensor, told: Tensor, mask: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """As `CausalAttention`."""
        heard, cache = self.attend(self.before(x), self.told(told), mask, cache)
        x = x + heard
        return x + self.further(self.between(x)), cache
