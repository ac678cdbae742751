"""Change points of sentiment: the moments at which its level changes for good.

Method: the self-starting two-sided CUSUM (Hawkins, "Self-starting CUSUM charts for location and
scale", The Statistician 36, 1987; after Page, Biometrika 41, 1954). Each score is compared with the
mean and spread of those since the last change, made normal, and summed beyond a slack of half a
standard deviation; over `sentiment_change` standard deviations it is a change, dated to its
most likely beginning. Only results that share no input are taken, because overlapping ones
repeat one another. Invariant: an event is told of whole, start and end together.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from streaming.events.base import Ended, Evidence, Scribe
from streaming.results import Event, Prediction
from streaming.settings import EventSettings

SLACK = 0.5  # of a standard deviation: tuned to steps of one, as is usual
LEAST = 5  # scores before any comparison
SPREAD_FLOOR = 0.05  # a score that hardly moves at all would make a change of any breath
CLIP = 4.0  # standard deviations that one score can count for: two outliers are no change
KEPT = 64  # scores in which the moment of a change is looked for
LEAST_CHANGE = 0.2  # of the sentiment scale; less is not worth an event


class Level:
    """Mean and spread of the scores so far (Welford, Technometrics 4, 1962)."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, x: float) -> None:
        self.count += 1
        step = x - self.mean
        self.mean += step / self.count
        self._squares += step * (x - self.mean)

    def surprise(self, x: float) -> float:
        """How unusual `x` is, as a standard normal number."""
        n = self.count
        spread = max(math.sqrt(self._squares / (n - 1)), SPREAD_FLOOR)
        t = math.sqrt(n / (n + 1)) * (x - self.mean) / spread
        return max(-CLIP, min(CLIP, _as_normal(t, n - 1)))


class _Side:
    """The sum of one direction, and the scores since it left zero: `(start_ns, score)`."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._scores: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self.sum = 0.0

    def add(self, z: float, x: float, start_ns: int) -> None:
        if self.sum == 0.0:
            self._scores.clear()
        self.sum = max(0.0, self.sum + self._sign * z - SLACK)
        self._scores.append((start_ns, x))

    def change(self, before: float) -> tuple[int, float]:
        """Where the level most likely left `before`, and the mean since (Hinkley, Biometrika 57,
        1970, for a known level before)."""
        best, found = -1.0, (0, before)
        total = 0.0
        for count, (start_ns, x) in enumerate(reversed(self._scores), 1):
            total += x
            gain = count * (total / count - before) ** 2
            if gain > best:
                best, found = gain, (start_ns, total / count)
        return found


class SentimentChange:
    """`score`: the new level less the old one. The evidence names both."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._threshold = settings.sentiment_change
        self._scribe = Scribe(stream, "sentiment_change")
        self._forget()
        self._free_from_ns = 0

    def _forget(self) -> None:
        self._sides = (_Side(+1), _Side(-1))
        self._level = Level()

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the next score that shares no input with the one before."""
        result = prediction.result
        if result.sentiment is None or result.start_ns < self._free_from_ns:
            return []
        self._free_from_ns = result.end_ns
        return list(self._take(result.sentiment.score, result.start_ns, result.end_ns))

    def finish(self, t_ns: int) -> list[Event]:
        """Nothing is ever open."""
        return []

    def _take(self, x: float, start_ns: int, end_ns: int) -> Iterator[Event]:
        if self._level.count >= LEAST:
            z = self._level.surprise(x)
            for side in self._sides:
                side.add(z, x, start_ns)
            side = max(self._sides, key=lambda s: s.sum)
            if side.sum > self._threshold:
                yield from self._tell(side, end_ns)
                return
        self._level.add(x)

    def _tell(self, side: _Side, end_ns: int) -> Iterator[Event]:
        """Say that the level has changed, and begin to learn the new one."""
        before = self._level.mean
        since_ns, after = side.change(before)
        if abs(after - before) >= LEAST_CHANGE:
            label = "positive" if after > before else "negative"
            evidence: Evidence = {"before": before, "after": after}
            yield self._scribe.start(since_ns, label, after - before, evidence)
            yield self._scribe.end(end_ns, after - before, evidence, Ended.OVER)
        self._forget()


def _as_normal(t: float, freedom: int) -> float:
    """The standard normal number that is as unlikely as `t` of Student's distribution.

    Wallace's approximation (Annals of Mathematical Statistics 30, 1959), good to 0.02 from five
    degrees of freedom on.
    """
    size = math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(size * (8 * freedom + 1) / (8 * freedom + 3), t)
