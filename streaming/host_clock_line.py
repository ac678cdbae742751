"""The line through the round trips with another host: see `host_clock`.

The lower bounds of `ahead` lie under the true line and the upper ones over it. Of two parallel
lines with slope b, one just over all lower and one just under all upper bounds, the distance g(b)
is a concave function of straight pieces; cutting planes (Kelley, 1960) find its maximum exactly.
That is best where many messages take little more than the least delay, as queues have it. Where
hardly any do, the middles of the exchanges, by least squares, are surer. Both are weighed by their
variances; the middles count for less where they disagree, for then one way is more loaded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Points = tuple[FloatArray, FloatArray]

MOST_CUTS = 64
ENOUGH_NS = 0.01
FASTEST = 8  # of each way, whose spacing tells how surely the least delay is known
SLOPE_SPACINGS = 3.5  # error of the slope, in spacings over the time spanned; simulated
LEAST_VARIANCE = (1e-9) ** 2  # of a slope: no crystal is that steady
DISAGREE = 25.0  # variances; five standard errors


class Line(NamedTuple):
    """`ahead` as a function of the other host's time; `sigma` is the slope's uncertainty."""

    slope: float
    sigma: float
    host_ns: int = 0
    ahead_ns: int = 0

    def at(self, host_ns: int) -> int:
        """`ahead` at `host_ns`."""
        return self.ahead_ns + round(self.slope * (host_ns - self.host_ns))


def fit(exchanges: Int64Array, prior: Line, steepest: float) -> tuple[Line, float]:
    """The line, and how far the lower bounds lie under the upper ones along the steadiest slope.

    `exchanges`: (n, 4), columns as in `Exchange`. The gap is negative where no line suits all.
    """
    asked, received, replied, heard = exchanges.T
    zero = replied[-1]
    level = heard[-1] - zero
    low = (received - zero).astype(float), (asked - received - level).astype(float)
    high = (replied - zero).astype(float), (heard - replied - level).astype(float)
    middle = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    widest = _widest(low, high, steepest)
    slope, variance = prior.slope, prior.sigma**2
    if len(exchanges) > 1:
        for other, other_variance in (
            (widest, _hull_variance(low, high, widest)),
            _least_squares(middle),
        ):
            weight = variance / (variance + max(other_variance, LEAST_VARIANCE))
            slope, variance = slope + weight * (other - slope), variance * (1 - weight)
    ahead_ns = int(level) + round(_height(low, high, middle, slope))
    line = Line(slope, variance**0.5, int(zero), ahead_ns)
    return line, _gap(low, high, widest)[0]


def _gap(low: Points, high: Points, slope: float) -> tuple[float, float]:
    """g(slope), and by how much it grows with the slope there."""
    under, over = low[1] - slope * low[0], high[1] - slope * high[0]
    i, j = int(under.argmax()), int(over.argmin())
    return float(over[j] - under[i]), float(low[0][i] - high[0][j])


def _widest(low: Points, high: Points, steepest: float) -> float:
    """The slope of greatest g, within `steepest` of none."""
    left, right = -steepest, steepest
    left_gap, left_grows = _gap(low, high, left)
    right_gap, right_grows = _gap(low, high, right)
    if left_grows <= 0:
        return left
    if right_grows >= 0:
        return right
    slope = 0.0
    for _ in range(MOST_CUTS):
        slope = (right_gap - left_gap + left_grows * left - right_grows * right) / (
            left_grows - right_grows
        )
        cut = left_gap + left_grows * (slope - left)
        gap, grows = _gap(low, high, slope)
        if cut - gap < ENOUGH_NS or grows == 0:
            break
        if grows > 0:
            left, left_gap, left_grows = slope, gap, grows
        else:
            right, right_gap, right_grows = slope, gap, grows
    return slope


def _hull_variance(low: Points, high: Points, slope: float) -> float:
    """Of the slope between the hulls."""
    unseen = max(_gap(low, high, slope)[0], 0.0) / len(low[0])
    spacing = _spacing_variance(low, high, slope) ** 0.5 + unseen
    return (SLOPE_SPACINGS * spacing / _span(high)) ** 2


def _spacing_variance(low: Points, high: Points, slope: float) -> float:
    """Mean square of the spaces between the fastest messages of each way: a least delay is known
    about as surely as the next ones lie close to it."""
    most = min(FASTEST, len(low[0])) - 1
    if most == 0:
        return np.inf
    over = np.partition(high[1] - slope * high[0], most)[: most + 1]
    under = np.partition(slope * low[0] - low[1], most)[: most + 1]
    return float(np.ptp(over) ** 2 + np.ptp(under) ** 2) / 2 / most**2


def _least_squares(middle: Points) -> tuple[float, float]:
    """Slope of the middles, and its variance."""
    x, y = middle[0] - middle[0].mean(), middle[1] - middle[1].mean()
    squares = float(x @ x)
    if squares == 0:
        return 0.0, np.inf
    slope = float(x @ y) / squares
    rest = y - slope * x
    degrees = len(x) - 2
    return slope, float(rest @ rest) / degrees / squares if degrees > 0 else np.inf


def _height(low: Points, high: Points, middle: Points, slope: float) -> float:
    """`ahead` at x = 0, of lines with this slope."""
    under, over = low[1] - slope * low[0], high[1] - slope * high[0]
    hull = float(under.max() + over.min()) / 2
    rest = middle[1] - slope * middle[0]
    mean = float(rest.mean())
    hull_variance = _spacing_variance(low, high, slope) / 2
    if len(rest) < FASTEST:
        return hull
    mean_variance = float(rest.var()) / len(rest)
    excess = max((mean - hull) ** 2 - DISAGREE * (hull_variance + mean_variance), 0.0)
    both = hull_variance + mean_variance + excess
    return hull + (mean - hull) * (hull_variance / both if both > 0 else 0.0)


def _span(points: Points) -> float:
    return max(float(np.ptp(points[0])), 1.0)
