"""From another host's clock to the session clock, by round trips.

In one exchange this host asks at `asked_ns`, the other has the question at `received_ns` and
answers at `replied_ns`, both by its own clock, and the answer is here at `heard_ns`. No message
comes before it was sent. So `ahead`, the session time less the other host's time of one instant, is
at least asked - received and at most heard - replied, however unequal the two ways are.

* Bounds, as Marzullo and Owicki (1983) intersect intervals: each exchange narrows them, and they
  widen by `RATE_PPM` with the time since. Invariant: as long as the rates of the two clocks differ
  by less and neither steps, the truth lies in them, so it lies within the uncertainty stated.
* The estimate is the middle of the two parallel lines, one over the lower and one under the upper
  bounds of the last exchanges, that are farthest apart: the convex hulls of Duda et al. (1987),
  with both ways weighed as Moon, Skelly and Towsley (1999) weigh one. The clock filter of NTP (RFC
  5905) takes the exchange with the least delay; this takes the fastest of each way, and the drift
  with them. It is never outside the bounds.

No clock is read here: the same exchanges give the same times.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from streaming.clock import NS_PER_S
from streaming.host_clock_line import Line, fit

PPM = 1_000_000
RATE_PPM = 500  # crystals are within 100; time services speed clocks up or down by up to 500
SLOWEST_NS = 2 * NS_PER_S  # an answer that took longer says too little
FARTHEST_NS = 1 << 62
TICK_NS = 1_000  # in which a clock may count
KEPT = 256  # exchanges, about a minute of them
WITNESSES = 3
FIRST_DRIFT_SIGMA = 150e-6  # of one crystal against another
WANDER_SIGMA = 5e-6  # of a crystal against itself, warmer or colder


class Exchange(NamedTuple):
    """One round trip: first and last by the session clock, the others by the other host's."""

    asked_ns: int
    received_ns: int
    replied_ns: int
    heard_ns: int

    @property
    def delay_ns(self) -> int:
        """The time on both ways together."""
        return self.heard_ns - self.asked_ns - (self.replied_ns - self.received_ns)


class Verdict(StrEnum):
    """What became of an exchange.

    `ABSURD`: contradicts itself; passed over. `QUARANTINED`: contradicts what is known: set aside,
    until others agree with it. `ANCHORED`: they do, or it is the first: a new epoch begins.
    """

    TRACKED = "tracked"
    ABSURD = "absurd"
    QUARANTINED = "quarantined"
    ANCHORED = "anchored"


class Bounds(NamedTuple):
    """`low_ns <= ahead <= high_ns` at the other host's `host_ns`."""

    host_ns: int
    low_ns: int
    high_ns: int

    @classmethod
    def of(cls, exchange: Exchange) -> Bounds:
        """What one exchange says by itself."""
        asked, received, replied, heard = exchange
        return cls(replied, asked - received - _growth_ns(replied - received), heard - replied)

    def at(self, host_ns: int) -> Bounds:
        """The same, at another time."""
        growth_ns = _growth_ns(host_ns - self.host_ns)
        return Bounds(host_ns, self.low_ns - growth_ns, self.high_ns + growth_ns)

    def meet(self, later: Bounds) -> Bounds | None:
        """What both say, at the time of `later`; None where they contradict each other."""
        _, low_ns, high_ns = self.at(later.host_ns)
        low_ns, high_ns = max(low_ns, later.low_ns), min(high_ns, later.high_ns)
        return Bounds(later.host_ns, low_ns, high_ns) if low_ns <= high_ns else None


class Track:
    """Exchanges that do not contradict each other, and what they bound."""

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.bounds: Bounds | None = None

    def take(self, exchange: Exchange) -> bool:
        """Add `exchange`, unless it contradicts those before."""
        bounds = Bounds.of(exchange)
        if self.bounds is not None:
            met = self.bounds.meet(bounds)
            if met is None:
                return False
            bounds = met
        self.bounds = bounds
        self.exchanges.append(exchange)
        return True


class HostClock:
    """One other host's clock. `observe` each exchange in the order in which they were made.

    `epoch` counts from 1 with the first exchange; `jump_ns` is by how much that clock stepped
    forward when the last epoch began, to within the jitter of the ways.

    >>> clock = HostClock()
    >>> clock.observe(Exchange(1_000, 51_500, 51_600, 2_100)).value, clock.at(52_050)
    ('anchored', (2050, 502))
    """

    def __init__(self) -> None:
        self._track, self._doubtful = Track(), Track()
        self._line = Line(slope=0.0, sigma=FIRST_DRIFT_SIGMA)
        self._prior = self._line
        self.epoch = 0
        self.jump_ns = 0

    @property
    def drift_ppm(self) -> float:
        """Parts per million by which a session second is longer than one of the other host."""
        return self._line.slope * PPM

    @property
    def doubtful(self) -> bool:
        """Whether the last exchange contradicted what was known."""
        return self._doubtful.bounds is not None

    def observe(self, exchange: Exchange) -> Verdict:
        """Take one exchange."""
        if not _is_possible(exchange):
            return Verdict.ABSURD
        if self._track.take(exchange):
            first, self._doubtful = self.epoch == 0, Track()
            self.epoch = max(self.epoch, 1)
            self._fit()
            return Verdict.ANCHORED if first else Verdict.TRACKED
        return self._quarantine(exchange)

    def at(self, host_ns: int) -> tuple[int, int] | None:
        """Session time of the other host's `host_ns`, and by how much it may be off at most.

        None before the first exchange.
        """
        if self._track.bounds is None:
            return None
        _, low_ns, high_ns = self._track.bounds.at(host_ns)
        ahead_ns = min(max(self._line.at(host_ns), low_ns), high_ns)
        return host_ns + ahead_ns, max(high_ns - ahead_ns, ahead_ns - low_ns)

    def _quarantine(self, exchange: Exchange) -> Verdict:
        """Set `exchange` aside; enough of them that agree are the clock as it is now."""
        if not self._doubtful.take(exchange):
            self._doubtful = Track()
            self._doubtful.take(exchange)
        if len(self._doubtful.exchanges) < WITNESSES:
            return Verdict.QUARANTINED
        last = self._track.exchanges[-1]
        moved_ns, passed_ns = (
            exchange.replied_ns - last.replied_ns,
            exchange.heard_ns - last.heard_ns,
        )
        self.jump_ns = moved_ns - passed_ns
        self._track, self._doubtful = self._doubtful, Track()
        self._prior = Line(slope=self._line.slope, sigma=max(self._line.sigma, WANDER_SIGMA))
        self._fit()
        self.epoch += 1
        return Verdict.ANCHORED

    def _fit(self) -> None:
        """The line through the exchanges; the older half goes where no line suits all of them."""
        exchanges = self._track.exchanges
        self._line, gap_ns = fit(np.array(exchanges, np.int64), self._prior, RATE_PPM / PPM)
        while gap_ns < -TICK_NS and len(exchanges) > 1:
            for _ in range(len(exchanges) // 2):
                exchanges.popleft()
            self._prior = Line(slope=self._line.slope, sigma=FIRST_DRIFT_SIGMA)
            self._line, gap_ns = fit(np.array(exchanges, np.int64), self._prior, RATE_PPM / PPM)


def _growth_ns(span_ns: int) -> int:
    """By how much `ahead` may have changed within `span_ns`, rounded up."""
    return -(-abs(span_ns) * RATE_PPM // PPM)


def _is_possible(exchange: Exchange) -> bool:
    asked, received, replied, heard = exchange
    took_ns, held_ns = heard - asked, replied - received
    return (
        max(map(abs, exchange)) < FARTHEST_NS
        and 0 <= held_ns <= took_ns + _growth_ns(held_ns)
        and took_ns <= SLOWEST_NS
    )
