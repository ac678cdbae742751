"""Contradiction: two modalities, each heard alone, say opposite things about the same window.

Method: the greatest difference between the unimodal sentiments of one result. Two results in a row
at or over `contradiction` open the event, two in a row under three quarters of it (or with fewer
than two modalities to compare) end it. Invariant: the evidence names both and what each said.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import msgspec

from streaming.events.base import UPDATE_EVERY_NS, Ended, Evidence, Scribe
from streaming.events.hops import HopClock
from streaming.results import Event, Prediction, Result
from streaming.settings import EventSettings

CONFIRM = 2
RELEASE = 0.75


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The two modalities furthest apart: `high` said the more positive thing."""

    high: str
    low: str
    high_score: float
    low_score: float

    @property
    def apart(self) -> float:
        return self.high_score - self.low_score

    @property
    def label(self) -> str:
        return (
            f"{self.high} positive, {self.low} negative"
            if self.opposed
            else f"{self.high} above {self.low}"
        )

    @property
    def opposed(self) -> bool:
        return self.high_score > 0 > self.low_score

    def evidence(self) -> Evidence:
        return {
            "high": self.high,
            "low": self.low,
            "high_score": self.high_score,
            "low_score": self.low_score,
        }


class Contradiction:
    """`score`: the greatest difference seen."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._threshold = settings.contradiction
        self._scribe = Scribe(stream, "contradiction")
        self._hops = HopClock()
        self._open = False
        self._doubts = 0  # results in a row that contradict the state
        self._edge_ns = self._seen_ns = self._reported_ns = 0
        self._worst: Pair | None = None

    def step(self, prediction: Prediction) -> list[Event]:
        """Compare the modalities of one result."""
        span = self._hops.span(prediction.result)
        return [] if span is None else list(self._hop(prediction.result, *span))

    def finish(self, t_ns: int) -> list[Event]:
        """End the contradiction that is open."""
        end_ns = self._edge_ns if self._doubts else self._seen_ns
        return list(self._end(min(t_ns, end_ns), Ended.STREAM))

    def _hop(self, result: Result, start_ns: int, end_ns: int) -> Iterator[Event]:
        pair = furthest_apart(result)
        self._seen_ns = end_ns
        if self._agrees_with_state(pair):
            self._doubts = 0
            yield from self._follow(pair, end_ns)
            return
        self._edge_ns = start_ns if self._doubts == 0 else self._edge_ns
        self._doubts += 1
        if self._open and self._doubts >= CONFIRM:
            yield from self._end(self._edge_ns, Ended.OVER if pair else Ended.LOST)
        elif not self._open and pair is not None:
            yield from self._maybe_start(pair, end_ns)

    def _agrees_with_state(self, pair: Pair | None) -> bool:
        apart = 0.0 if pair is None else pair.apart
        release = RELEASE if self._open else 1.0
        return (apart >= self._threshold * release) == self._open

    def _maybe_start(self, pair: Pair, end_ns: int) -> Iterator[Event]:
        self._worst = _worse(self._worst, pair)
        if self._doubts >= CONFIRM:
            self._open, self._doubts, self._reported_ns = True, 0, end_ns
            worst = self._worst
            yield self._scribe.start(self._edge_ns, worst.label, worst.apart, worst.evidence())

    def _follow(self, pair: Pair | None, end_ns: int) -> Iterator[Event]:
        if not self._open or pair is None:
            self._worst = None
            return
        self._worst = worst = _worse(self._worst, pair)
        if end_ns - self._reported_ns >= UPDATE_EVERY_NS:
            self._reported_ns = end_ns
            yield self._scribe.update(worst.apart, worst.evidence())

    def _end(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        worst, self._worst, self._doubts = self._worst, None, 0
        if self._open and worst is not None:
            self._open = False
            yield self._scribe.end(end_ns, worst.apart, worst.evidence(), ended_by)


def furthest_apart(result: Result) -> Pair | None:
    """The two modalities of `result` that differ most; None when fewer than two spoke."""
    said = {str(m): r.sentiment for m, r in result.modalities.items() if r.sentiment is not None}
    pairs = (
        Pair(high=a, low=b, high_score=x, low_score=y)
        if x >= y
        else Pair(high=b, low=a, high_score=y, low_score=x)
        for (a, x), (b, y) in combinations(sorted(said.items()), 2)
    )
    return max(pairs, key=lambda pair: pair.apart, default=None)


def _worse(worst: Pair | None, pair: Pair) -> Pair:
    return pair if worst is None or pair.apart > worst.apart else worst
