"""Sentiment shift: the mood moves away from what it has been.

Method: the difference of a fast (1 s) and a slow (10 s) exponential mean of the sentiment score,
the crossing used in trend following (MACD), with hysteresis: it opens at `sentiment_shift` and
ends under half of it, when the mood has come back or the new one has become what it is.
Invariant: a shift has one direction; turning over ends it and may begin another.
"""

from __future__ import annotations

from collections.abc import Iterator

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.events.base import UPDATE_EVERY_NS, Ended, Evidence, Scribe
from streaming.events.hops import HopClock
from streaming.events.means import ExponentialMean
from streaming.results import Event, Prediction
from streaming.settings import EventSettings

FAST_S, SLOW_S = 1.0, 10.0
# Before this much sentiment was seen there is no baseline to move away from.
BASELINE_NS = 3 * NS_PER_S
LOST_AFTER_NS = 5_000 * NS_PER_MS


class SentimentShift:
    """`score`: the furthest the fast mean was from the slow one, signed."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._threshold = settings.sentiment_shift
        self._scribe = Scribe(stream, "sentiment_shift")
        self._hops = HopClock()
        self._forget()
        self._open = False
        self._peak = 0.0
        self._reported_ns = 0

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the next score."""
        span = self._hops.span(prediction.result)
        return [] if span is None else list(self._hop(prediction, *span))

    def finish(self, t_ns: int) -> list[Event]:
        """End the shift that is open."""
        return list(self._end(min(t_ns, self._seen_ns or t_ns), Ended.STREAM))

    def _hop(self, prediction: Prediction, start_ns: int, end_ns: int) -> Iterator[Event]:
        if self._seen_ns is not None and end_ns - self._seen_ns >= LOST_AFTER_NS:
            yield from self._end(self._seen_ns, Ended.LOST)
            self._forget()
        sentiment = prediction.result.sentiment
        if sentiment is not None:
            self._add(sentiment.score, end_ns)
            yield from self._judge(start_ns, end_ns)

    def _forget(self) -> None:
        self._fast, self._slow = ExponentialMean(FAST_S), ExponentialMean(SLOW_S)
        self._first_ns: int | None = None
        self._seen_ns: int | None = None

    def _add(self, score: float, end_ns: int) -> None:
        elapsed_s = 0.0 if self._seen_ns is None else (end_ns - self._seen_ns) / NS_PER_S
        self._fast.add(score, elapsed_s)
        self._slow.add(score, elapsed_s)
        self._seen_ns = end_ns
        self._first_ns = end_ns if self._first_ns is None else self._first_ns

    def _judge(self, start_ns: int, end_ns: int) -> Iterator[Event]:
        moved = self._fast.value - self._slow.value
        if self._open and (abs(moved) < self._threshold / 2 or moved * self._peak < 0):
            yield from self._end(start_ns, Ended.OVER)
        if self._open:
            yield from self._follow(moved, end_ns)
        elif abs(moved) >= self._threshold and end_ns - (self._first_ns or 0) >= BASELINE_NS:
            yield self._start(moved, start_ns, end_ns)

    def _start(self, moved: float, start_ns: int, end_ns: int) -> Event:
        self._open, self._peak, self._reported_ns = True, moved, end_ns
        label = "positive" if moved > 0 else "negative"
        return self._scribe.start(start_ns, label, moved, self._evidence())

    def _follow(self, moved: float, end_ns: int) -> Iterator[Event]:
        self._peak = max(self._peak, moved, key=abs)
        if end_ns - self._reported_ns >= UPDATE_EVERY_NS:
            self._reported_ns = end_ns
            yield self._scribe.update(self._peak, self._evidence())

    def _end(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        if self._open:
            self._open = False
            yield self._scribe.end(end_ns, self._peak, self._evidence(), ended_by)

    def _evidence(self) -> Evidence:
        return {"now": self._fast.value, "baseline": self._slow.value}
