"""Chinese words to a sentiment: a linear model over hashed runs of one to three signs.

It has learnt from reviews that were called positive or negative, so it tells how likely words are
one or the other, and nothing of emotions. Naive Bayes' log-ratios, fitted further by logistic
regression (compare Wang & Manning 2012, "Baselines and bigrams").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from models import weights
from models.labels import CHNSENTICORP_SENTIMENT, SST5_SENTIMENT
from models.opinion import NORMAL_80, Opinion
from models.text import unlinked

PART = "chinese"
ROWS = 1 << 18
LONGEST = 3  # signs of a run
_WIDTH = 512  # of the table, for its scales
_SIGN = re.compile(r"[a-z]+|\d+|[^\s\w]|[^\W\d_a-z]")
_SPREAD = float(np.std(SST5_SENTIMENT[3:]))  # of the strength of what is called positive


def rows_of(text: str) -> np.ndarray:
    """int64 (T,): the different rows of the runs of a text. A word in Latin letters and a number
    are one sign each, and all numbers are the same.

    >>> len(rows_of("很好")), len(rows_of("很好 很好")), len(rows_of("13 寸"))
    (3, 6, 3)
    """
    signs = ["0" if s.isdecimal() else s for s in _SIGN.findall(unlinked(text).lower())]
    codes = np.array([_code(s) for s in signs], np.uint32)
    runs = []
    for length in range(1, min(LONGEST, len(codes)) + 1):
        hashed = np.full(len(codes) - length + 1, 2166136261 + length, np.uint32)
        for at in range(length):  # FNV-1a over whole signs
            hashed = (hashed ^ codes[at : len(codes) - length + 1 + at]) * np.uint32(16777619)
        runs.append((hashed ^ (hashed >> 15)) * np.uint32(0x85EBCA6B))
    mixed = np.concatenate([*runs, np.zeros(0, np.uint32)])
    return np.unique((mixed ^ (mixed >> 13)) % ROWS).astype(np.int64)


def _code(sign: str) -> int:
    code = 0
    for letter in sign:
        code = (code * 31 + ord(letter)) & 0xFFFFFFFF
    return code


def bag(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts -> rows int64 (B, T) and mask bool (B, T); T is at least 1."""
    found = [rows_of(text) for text in texts]
    rows = np.zeros((len(found), max([1, *map(len, found)])), np.int64)
    mask = np.zeros(rows.shape, bool)
    for b, row in enumerate(found):
        rows[b, : len(row)], mask[b, : len(row)] = row, True
    return torch.from_numpy(rows), torch.from_numpy(mask)


class ChineseWords(nn.Module):
    """Rows -> log-odds (B,) that a text is positive.

    Their sum is divided by a power of how many there are: long reviews repeat themselves.
    """

    stored_bits: ClassVar = {"table": 4}
    power: Tensor
    temperature: Tensor

    def __init__(self, power: float = 0.5) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(ROWS // _WIDTH, _WIDTH))
        self.bias = nn.Parameter(torch.zeros(()))
        self.register_buffer("power", torch.tensor(power))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def find(cls, folder: Path) -> ChineseWords | None:
        """The part of a folder of weights, if it has one."""
        if PART not in weights.read_manifest(folder)["parts"]:
            return None
        return weights.load(cls(), folder, PART)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """int64 (B, T), bool (B, T) -> (B,)."""
        total = (self.table.flatten()[rows] * mask).sum(1)
        return (total / mask.sum(1).clamp_min(1) ** self.power + self.bias) / self.temperature

    @torch.inference_mode()
    def positive(self, text: str) -> float:
        """The probability that a text is positive."""
        return float(self(*bag([text])).sigmoid())


def opinion_of(positive: float) -> Opinion:
    """Sentiment and interval of words that are positive with this probability, else negative.

    The interval is that of a normal distribution with the variance of the label and of how strong
    what is called positive or negative can be, which these labels do not tell.
    """
    low, high = CHNSENTICORP_SENTIMENT
    deviation = math.sqrt((high - low) ** 2 * positive * (1 - positive) + _SPREAD**2)
    return Opinion(low + (high - low) * positive, NORMAL_80 * deviation)
