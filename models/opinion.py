"""A verdict on a window's sentiment, and how words that tell nothing but a sentiment join it.

The network pools opinions on seven emotions. Words of which only the sentiment is known do not fit
into that, and are added after it: as a second measurement of the same quantity, each weighed by
the inverse square of its interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NORMAL_80 = 1.2816  # half of the central 80 % of a normal distribution, in standard deviations
TEXT = 1 << 2  # the bit of text in the number of a subset of modalities


@dataclass(frozen=True)
class Opinion:
    """A sentiment in [-1, 1] and half of its 80 % interval."""

    sentiment: float
    half_width: float


@dataclass(frozen=True)
class Verdict:
    """by_subset float64 (8,): the sentiment of each subset of modalities, bit m for modality m.

    present bool (3,). low, high: the 80 % interval, cut to [-1, 1]; half_width: before that.
    """

    by_subset: np.ndarray
    present: np.ndarray
    low: float
    high: float
    half_width: float

    @property
    def score(self) -> float:
        """The sentiment of all that is present."""
        return float(self.by_subset[sum(1 << int(m) for m in np.flatnonzero(self.present))])


def joined(verdict: Verdict, words: Opinion) -> Verdict:
    """The verdict with an opinion of the text; where nothing else is present, that opinion.

    Where the two are further apart than their intervals allow, the joint interval is widened by as
    much (Birge 1932, "The calculation of errors by the method of least squares").
    """
    ours, theirs = verdict.half_width, words.half_width
    share, half = 1.0, theirs
    if verdict.present.any():
        both = math.hypot(ours, theirs)
        share = (ours / both) ** 2
        apart = NORMAL_80 * abs(verdict.score - words.sentiment) / both
        half = ours * theirs / both * max(1.0, apart)
    known = sum(1 << int(m) for m in np.flatnonzero(verdict.present))
    by_subset = verdict.by_subset.copy()
    for subset in range(TEXT, len(by_subset)):
        before = verdict.by_subset[subset]
        own = share if subset & known else 1.0
        by_subset[subset] = before + own * (words.sentiment - before)
    present = verdict.present | np.array([False, False, True])
    made = Verdict(by_subset, present, 0.0, 0.0, half)
    low, high = np.clip([made.score - half, made.score + half], -1, 1)
    return Verdict(by_subset, present, float(low), float(high), half)
