"""The classical baselines for text: linear models over hashed bags of words.

"tfidf": words and pairs of words weighed by their inverse document frequency (Sparck Jones 1972).
"word2vec": the mean of skip-gram vectors (Mikolov et al. 2013). Both hash the words (Weinberger et
al. 2009), so they need no vocabulary file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from models.text import normalise
from models.types import EMOTIONS

ROWS = {"tfidf": 16_384, "word2vec": 8_192}
WIDTH = 32
OUTPUTS = 2 * len(EMOTIONS) + 1  # emotion of a text, emotion of a line of dialogue, sentiment
_MAX_WORDS = 128
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words, numbers and signs, in small letters."""
    return _WORD.findall(normalise(text).lower())[:_MAX_WORDS]


def row_of(word: str) -> int:
    """A 32-bit hash; each model takes it modulo its number of rows. 0 is for padding."""
    return zlib.crc32(word.encode()) | 1


def bag_rows(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Hashes int64 (B, T) of words, then of pairs of words, and kinds (B, T): 0, 1 or 2 words."""
    rows = []
    for text in texts:
        found = words(text)
        pairs = [f"{a} {b}" for a, b in pairwise(found)]
        rows.append([(row_of(w), 1) for w in found] + [(row_of(p), 2) for p in pairs])
    longest = max([1, *map(len, rows)])
    made = np.zeros((len(rows), longest, 2), np.int64)
    for b, row in enumerate(rows):
        made[b, : len(row)] = np.array(row, np.int64).reshape(-1, 2)
    return torch.from_numpy(made[..., 0]), torch.from_numpy(made[..., 1])


class BagModel(nn.Module):
    """name: "tfidf" or "word2vec". Hashes -> (B, OUTPUTS)."""

    rarity: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        linear = name == "tfidf"
        self.table = nn.Embedding(ROWS[name], OUTPUTS if linear else WIDTH)
        nn.init.normal_(self.table.weight, std=1e-3 if linear else 0.1)
        self.head = nn.Linear(OUTPUTS if linear else WIDTH, OUTPUTS)
        if linear:  # the table is the matrix; only the bias is left to add
            nn.init.eye_(self.head.weight)
            self.head.weight.requires_grad_(False)
        self.stored_bits = {"table": 8}
        self.register_buffer("rarity", torch.ones(ROWS[name]))

    def forward(self, hashes: Tensor, kinds: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, OUTPUTS)."""
        rows = hashes // 2 % len(self.rarity)
        used = (kinds > 0) if self.name == "tfidf" else (kinds == 1)
        weight = self.rarity[rows] * used
        norm = weight.norm(dim=1, keepdim=True) if self.name == "tfidf" else used.sum(1, True)
        x = (self.table(rows) * (weight / norm.clamp_min(1e-6)).unsqueeze(-1)).sum(1)
        return self.head(x)
