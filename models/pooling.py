"""Masked pooling over tokens: what is absent takes no part, and an empty set gives zeros.

Attention pooling after Yang et al. 2016, "Hierarchical attention networks".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) and bool (B, T) -> (B, D); rows without any token give zeros."""
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1).clamp_min(1.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, T) scores -> weights that sum to 1 over the present entries, or to 0 without any."""
    scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.amax(-1, keepdim=True).clamp_min(-1e9)
    weights = torch.exp(scores - top)
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)


class AttentionPool(nn.Module):
    """Scores each token on its own, then averages the present ones by their weights."""

    def __init__(self, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and bool (B, T) -> (B, D)."""
        weights = masked_softmax(self.score(tokens).squeeze(-1), mask)
        return (weights.unsqueeze(1) @ tokens).squeeze(1)
