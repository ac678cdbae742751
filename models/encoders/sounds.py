"""Sounds to tokens: a small CNN over each hop, attention over the hops of a window.

The network sees the same frames as the voice encoder. Attention over time is how clips that are
labelled as a whole, though the sound fills a part of them, are learnt (Kong et al. 2020, "PANNs").
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models import features
from models.labels import SOUNDS
from models.pooling import AttentionPool

TOKEN_D = 128
HOP_T = 50  # frames of a hop of 0.5 s
SILENT = -20.0  # nats; below what any microphone gives


def _conv(c_in: int, c_out: int, kernel: int, stride: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


class SoundEncoder(nn.Module):
    """(B, T, 64) normalised log-mel frames of one hop -> token (B, D).

    `pool` joins the tokens of a window, `logits` gives the ten sounds of SOUNDS and, last, "other".
    temperature: divides the logits; fitted on clips that the training left out.
    """

    temperature: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 16, 5, (2, 2)), _conv(16, 32, 3, (2, 2)), _conv(32, 64, 3, (2, 2)),
            nn.Dropout2d(dropout / 3), _conv(64, 96, 3, (1, 2)), nn.Dropout2d(dropout / 3),
        )  # fmt: skip
        self.join = nn.Sequential(
            nn.Conv1d(96 * 4, TOKEN_D, 1, bias=False), nn.BatchNorm1d(TOKEN_D), nn.ReLU()
        )
        self.pool_hops = AttentionPool(TOKEN_D)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(TOKEN_D, len(SOUNDS) + 1)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 64) -> (B, D)."""
        maps = self.body(frames.unsqueeze(1))  # (B, 96, T / 8, 4)
        line = self.join(maps.transpose(2, 3).flatten(1, 2))  # (B, D, T / 8)
        return (line.mean(2) + line.amax(2)) / 2

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) hop tokens and bool (B, T) -> (B, D)."""
        return self.pool_hops(tokens, mask)

    def logits(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 11)."""
        return self.head(self.dropout(pooled)) / self.temperature

    def of_clips(self, frames: Tensor) -> Tensor:
        """(B, hops, 74, 64) -> (B, 11)."""
        tokens = self(frames.flatten(0, 1)).view(*frames.shape[:2], -1)
        return self.logits(self.pool(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool)))

    def of_clip(self, mel: np.ndarray) -> Tensor:
        """(T, 64) frames in nats -> (11,)."""
        frames = hops_of(mel, max(1, -(-len(mel) // HOP_T)))
        return self.of_clips(torch.from_numpy(frames).unsqueeze(0))[0]


def hops_of(mel: np.ndarray, hops: int) -> np.ndarray:
    """(T, 64) nats -> float32 (hops, 24 + 50, 64) as a live stream would cut them.

    What is missing at the end is silence.
    """
    missing = hops * HOP_T - len(mel)
    if missing > 0:
        mel = np.concatenate([mel, np.full((missing, features.MELS), SILENT, np.float32)])
    frames, _ = features.normalise(mel[: hops * HOP_T], features.PEAK_FLOOR)
    return cut(frames)


def cut(frames: np.ndarray) -> np.ndarray:
    """Normalised (hops * 50, 64) -> (hops, 74, 64), each hop after its 24 frames of context."""
    line = np.concatenate([features.MelState.initial().context, frames])
    width = features.CONTEXT_T + HOP_T
    windows = np.lib.stride_tricks.sliding_window_view(line, width, axis=0)[::HOP_T]
    return windows.transpose(0, 2, 1).copy()
