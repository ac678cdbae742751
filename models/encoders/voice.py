"""Voice to tokens: a CNN and a GRU within each hop, masked attention over the hops of a window.

Log-mel CNN plus recurrence is the common baseline of speech emotion recognition (Zhao et al. 2019,
"Speech emotion recognition using deep 1D & 2D CNN LSTM networks"). The recurrence starts afresh in
each hop, so a window's score depends on its own hops and on 0.24 s of context before each of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.pooling import AttentionPool
from models.types import EMOTIONS

TOKEN_D = 128


def _conv2d(c_in: int, c_out: int, stride: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
    )


def _conv1d(c_in: int, c_out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm1d(c_out),
        nn.ReLU(),
    )


class VoiceEncoder(nn.Module):
    """(B, T, 64) normalised log-mel frames of one hop -> token (B, D); pooling -> (B, 7) logits."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.spectral = nn.Sequential(_conv2d(1, 24, (2, 2)), _conv2d(24, 32, (1, 2)))
        self.temporal = nn.Sequential(
            _conv1d(512, 128, 1, 1), nn.Dropout(dropout / 2), _conv1d(128, 128, 5, 2)
        )
        self.recurrence = nn.GRU(128, 128, batch_first=True)
        self.pool_frames = AttentionPool(128)
        self.project = nn.Linear(128, TOKEN_D)
        self.pool_hops = AttentionPool(TOKEN_D)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(TOKEN_D, len(EMOTIONS))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 64) -> (B, D)."""
        maps = self.spectral(frames.unsqueeze(1))  # (B, C, T / 2, 16)
        line = maps.transpose(2, 3).flatten(1, 2)  # (B, C * 16, T / 2)
        steps = self.recurrence(self.temporal(line).transpose(1, 2))[0]
        everything = steps.new_ones(steps.shape[:2], dtype=torch.bool)
        return self.project(self.pool_frames(steps, everything)).relu()

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) hop tokens and bool (B, T) -> (B, D)."""
        return self.pool_hops(tokens, mask)

    def logits(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 7)."""
        return self.head(self.dropout(pooled))
