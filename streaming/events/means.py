"""Exponential means of values that come at uneven times."""

from __future__ import annotations

import math


class ExponentialMean:
    """A mean with time constant `constant_s` in which early values are not over-weighted.

    Weights are kept beside the sum (the bias correction of Adam, Kingma and Ba 2015), so the
    first value is a mean of one and not a guess at zero.
    """

    def __init__(self, constant_s: float) -> None:
        self._constant_s = constant_s
        self._sum = self._weight = 0.0

    def add(self, value: float, elapsed_s: float) -> None:
        """Take in `value`, which came `elapsed_s` after the one before."""
        keep = math.exp(-elapsed_s / self._constant_s)
        self._sum = keep * self._sum + value
        self._weight = keep * self._weight + 1.0

    @property
    def value(self) -> float:
        """The mean; there must have been a value."""
        return self._sum / self._weight
