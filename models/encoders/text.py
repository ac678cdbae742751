"""Text to tokens: hashed word and subword embeddings, convolutions of several widths, attention.

The convolutions are those of Kim 2014, "Convolutional neural networks for sentence
classification"; a masked maximum over words makes the token, so padding takes no part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.pooling import AttentionPool
from models.text import GRAM_BUCKETS, MAX_GRAMS, WORD_BUCKETS, encode
from models.types import EMOTIONS

TOKEN_D = 128
WIDTH = 64
_CHANNELS = 80


def collate(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts -> word rows int64 (B, T) and subword rows int64 (B, T, 12), 0 where there is none."""
    coded = [encode(text) for text in texts]
    longest = max(3, *(len(rows) for rows, _ in coded)) if coded else 3
    rows = np.zeros((len(texts), longest), np.int64)
    grams = np.zeros((len(texts), longest, MAX_GRAMS), np.int64)
    for b, (word_rows, gram_rows) in enumerate(coded):
        rows[b, : len(word_rows)] = word_rows
        for t, row in enumerate(gram_rows):
            grams[b, t, : len(row)] = row
    return torch.from_numpy(rows), torch.from_numpy(grams)


class TextEncoder(nn.Module):
    """Rows of words and subwords -> token (B, D); heads for emotion (B, 7) and sentiment (B,)."""

    def __init__(self, dropout: float = 0.4) -> None:
        super().__init__()
        self.words = nn.Embedding(WORD_BUCKETS, WIDTH, padding_idx=0)
        self.grams = nn.EmbeddingBag(GRAM_BUCKETS, WIDTH, mode="sum", padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.1)
        nn.init.normal_(self.grams.weight, std=0.1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(WIDTH, _CHANNELS, k, padding=k // 2) for k in (1, 3, 5)
        )
        self.pool = AttentionPool(WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.drop_in = nn.Dropout(0.3)
        self.project = nn.Linear(3 * _CHANNELS + WIDTH, TOKEN_D)
        self.emotion = nn.Linear(TOKEN_D, len(EMOTIONS))
        self.valence = nn.Linear(TOKEN_D, 1)

    def embed(self, rows: Tensor, grams: Tensor) -> Tensor:
        """(B, T), (B, T, G) -> (B, T, 64): the word plus the mean of its subwords."""
        subwords = self.grams(grams.flatten(0, 1)).unflatten(0, rows.shape)
        count = (grams > 0).sum(-1, keepdim=True).clamp_min(1)
        return self.words(rows) + subwords / count

    def forward(self, rows: Tensor, grams: Tensor) -> Tensor:
        """(B, T), (B, T, G) -> (B, D)."""
        mask = rows > 0
        x = self.drop_in(self.embed(rows, grams)) * mask.unsqueeze(-1)
        line = x.transpose(1, 2)
        hidden = mask.unsqueeze(1)
        peaks = [conv(line).relu().masked_fill(~hidden, 0).amax(-1) for conv in self.convolutions]
        return self.project(self.dropout(torch.cat([*peaks, self.pool(x, mask)], 1))).relu()

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 7)."""
        return self.emotion(self.dropout(tokens))

    def sentiment(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B,) in [-1, 1]."""
        return self.valence(self.dropout(tokens)).squeeze(-1).tanh()
