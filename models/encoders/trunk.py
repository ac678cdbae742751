"""The trunk of everything that listens: the first layers of a pretrained speech network.

Two convolutions and the first self-attention block of Whisper tiny (Radford et al. 2022, "Robust
speech recognition via large-scale weak supervision", MIT) as fine-tuned for the ends of turns in
smart-turn v3 (BSD-2-Clause). Lower layers of speech recognisers carry how something is said (Pasad
et al. 2021, "Layer-wise analysis of a self-supervised speech representation model"); the later
ones, which cost most, were worse for emotion here. Its mel filters are folded into the first
convolution, and three quarters of the block's hidden units are left out.

What it makes of a hop depends on the hop and on the 24 frames of context before it. It is run once
for each hop, and both the voice and the sounds are told from the mean and the spread of its steps;
over a window's hops the same again (statistics pooling, Snyder et al. 2018, "X-vectors").
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.features import CONTEXT_T, MELS
from models.pooling import AttentionPool, masked_mean

TOKEN_D = 128
WIDTH = 384
HEADS = 6
HIDDEN = 384
POSITIONS = 100  # steps of 20 ms; older ones share the first position
STATISTICS_D = 2 * WIDTH
_QUIET = -0.86  # scaled level, 8 nats below the followed peak: fainter steps hardly count


class Trunk(nn.Module):
    """(B, T, 64) normalised log-mel frames, 24 of context first -> (B, N, 384), N = (T - 23) // 2.

    Matrices are two-dimensional so that they can be stored as int8 with a scale per row.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mel = nn.Linear(MELS * 3, WIDTH)
        self.merge = nn.Linear(WIDTH * 3, WIDTH)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.norm_attention = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm_feed = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, frames: Tensor) -> Tensor:
        """Only the steps of the hop are carried on; those of the context are looked at."""
        steps = self._convolve(frames)
        length = steps.shape[1]
        new = (frames.shape[1] - CONTEXT_T + 1) // 2  # no comparison: a graph would freeze it
        at = torch.arange(POSITIONS - length, POSITIONS, device=steps.device).clamp_min(0)
        steps = steps + self.positions[at]
        seen = self.norm_attention(steps)
        query = self._heads(self.query(seen[:, -new:]))
        heard = F.scaled_dot_product_attention(
            query, self._heads(self.key(seen)), self._heads(self.value(seen))
        )
        steps = steps[:, -new:] + self.out(heard.transpose(1, 2).flatten(2))
        return steps + self.down(F.gelu(self.up(self.norm_feed(steps))))

    def statistics(self, frames: Tensor) -> Tensor:
        """(B, T, 64) -> mean and spread of the steps, weighted by loudness, (B, 768)."""
        steps = self(frames)
        weights = loudness(frames, steps.shape[1])
        weights = weights / weights.sum(1, keepdim=True)
        mean = (weights * steps).sum(1)
        variance = (weights * (steps - mean.unsqueeze(1)).square()).sum(1)
        return torch.cat([mean, (variance + 1e-6).sqrt()], 1)

    def mark(self) -> Tensor:
        """uint8 (8,), by which a trunk is known: how SHA-256 over all weights begins."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        return torch.tensor(list(digest.digest()[:8]), dtype=torch.uint8)

    def _convolve(self, frames: Tensor) -> Tensor:
        line = F.gelu(self.mel(_neighbours(frames)))
        return F.gelu(self.merge(_neighbours(line, 2)))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(2, (HEADS, WIDTH // HEADS)).transpose(1, 2)


def _neighbours(x: Tensor, stride: int = 1) -> Tensor:
    """(B, T, C) -> (B, T / stride, 3 C): what a convolution of three steps sees, zeros outside."""
    line = F.pad(x, (0, 0, 1, 1))
    last = x.shape[1]
    return torch.stack([line[:, i : i + last : stride] for i in range(3)], -1).flatten(2)


def loudness(frames: Tensor, steps: int) -> Tensor:
    """(B, T, 64) -> weights (B, steps, 1) near 1 where it is loud, near 0 where still."""
    level = frames[:, -2 * steps :].amax(2)
    return torch.sigmoid(4 * (level.unflatten(1, (steps, 2)).amax(2, keepdim=True) - _QUIET)) + 1e-3


class Listener(nn.Module):
    """A head over the trunk's statistics: token of a hop, pool over the hops of a window, classes.

    centre, spread: (768,), of the statistics in training.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(STATISTICS_D))
        self.register_buffer("spread", torch.ones(STATISTICS_D))
        self.project = nn.Linear(STATISTICS_D, TOKEN_D)
        self.pool_hops = AttentionPool(TOKEN_D)
        self.join = nn.Linear(2 * TOKEN_D, TOKEN_D)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(TOKEN_D, classes)

    def token(self, statistics: Tensor) -> Tensor:
        """(..., 768) -> (..., D)."""
        return self.project(self.dropout((statistics - self.centre) / self.spread)).relu()

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) hop tokens and bool (B, T) -> (B, D)."""
        mean = masked_mean(tokens, mask)
        spread = masked_mean((tokens - mean.unsqueeze(1)).square(), mask)
        chosen = self.pool_hops(tokens, mask)
        return self.join(torch.cat([chosen, (spread + 1e-6).sqrt()], 1)).relu()
