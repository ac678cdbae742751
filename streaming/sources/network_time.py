"""The time line of a network stream: the sender's own timestamps on the session clock.

All tracks of a stream are dated by one clock map, so what the sender holds together stays
together. The map sees packets, not frames: no decoder comes between a packet and its arrival.
A server that begins with what it has kept sends much at once, all of it late; the one packet
that came soonest after its own time says where the line lies.

Invariant: frames of one clock keep the distances that the sender gave them, but for what the map
follows of drift; timestamps that leap are another clock, with a map of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.clock_map import ClockMap
from streaming.sources.media_time import Placed

BACK_NS = 200 * NS_PER_MS  # packets of a track are in order but for this much
EARLY_NS = 1 * NS_PER_S  # no packet comes this long before its time by the line so far
LATE_NS = 5 * NS_PER_S  # nor this long after it
FARTHEST_NS = 1 << 61
WRAP_NS = (1 << 33) * NS_PER_S // 90_000  # MPEG transport streams, ISO/IEC 13818-1


@dataclass(frozen=True)
class Sighting:
    """A packet of `track` that came at `arrival_ns`. By the sender's clock it is in place
    `order_ns` of its track, and what it holds was complete at `end_ns`."""

    track: str
    order_ns: int
    end_ns: int
    arrival_ns: int


@dataclass
class _SenderClock:
    number: int
    leapt_ns: int
    map: ClockMap = field(default_factory=ClockMap)
    newest_ns: dict[str, int] = field(default_factory=dict)  # by track
    used_ns: int = 0

    def fits(self, seen: Sighting, late_ns: int) -> bool:
        """Whether the packet may be of this clock, being at most so late."""
        after_ns = seen.arrival_ns - self.map.at(seen.end_ns)[0]
        newest_ns = self.newest_ns.get(seen.track, seen.order_ns)
        return seen.order_ns >= newest_ns - BACK_NS and -EARLY_NS <= after_ns <= late_ns

    def observe(self, seen: Sighting) -> None:
        self.map.observe(seen.end_ns, seen.arrival_ns)
        self.used_ns = seen.arrival_ns
        newest_ns = self.newest_ns.get(seen.track, seen.order_ns)
        self.newest_ns[seen.track] = max(seen.order_ns, newest_ns)


class NetworkTime:
    """The clocks of one connection: the one in use, and the one before for what is still decoded.

    `begin` once, then `observe` each packet in the order of arrival, and `place` frames: as late
    as `delay_ns` says.
    """

    zero_ns: int | None = None

    def __init__(self, delay_ns: int = 0) -> None:
        self._delay_ns = delay_ns
        self._clocks: list[_SenderClock] = []
        self._placed_by: dict[str, int] = {}
        self._newest_ns = 0  # by the sender's clock, unwrapped
        self._begun_ns = self._arrival_ns = 0

    def begin(self, first: Iterable[Sighting]) -> None:
        """Lay the line through the soonest of the `first` packets."""
        soonest = min(first, key=lambda s: s.arrival_ns - s.end_ns)
        self._newest_ns = min(max(soonest.end_ns, -FARTHEST_NS), FARTHEST_NS)
        self._begun_ns = soonest.arrival_ns
        self._arrival_ns = soonest.arrival_ns
        self._clocks = [_SenderClock(0, 0)]
        self._clocks[0].observe(replace(soonest, end_ns=self._newest_ns))

    def observe(self, seen: Sighting) -> None:
        """Let a packet move the line; those that came before the soonest of the first do not."""
        order_ns, end_ns = self._unwrapped(seen.order_ns), self._unwrapped(seen.end_ns)
        if seen.arrival_ns <= self._begun_ns and end_ns <= self._newest_ns:
            return
        seen = Sighting(seen.track, order_ns, end_ns, seen.arrival_ns)
        self._arrival_ns = seen.arrival_ns
        self._newest_ns = seen.end_ns
        clock = next(
            (c for c in self._clocks if c.fits(seen, LATE_NS + self._delay_ns)), None
        ) or self._leap(seen)
        clock.observe(seen)
        self._clocks.sort(key=lambda c: c.used_ns, reverse=True)

    def place(self, track: str, raw_ns: int, duration_ns: int) -> Placed:
        """Session time of a frame that its sender dates `raw_ns`: by the clock that makes it
        newest, where two are in use."""
        raw_ns = self._unwrapped(raw_ns)
        clock = min(
            self._clocks, key=lambda c: abs(self._arrival_ns - c.map.at(raw_ns + duration_ns)[0])
        )
        before = self._placed_by.get(track, clock.number)
        self._placed_by[track] = clock.number
        leapt_ns = clock.leapt_ns if clock.number > before else 0
        t_ns, uncertainty_ns = clock.map.at(raw_ns)
        return Placed(t_ns + self._delay_ns, uncertainty_ns, leapt_ns)

    def _leap(self, seen: Sighting) -> _SenderClock:
        """Another clock begins, and the one that was not used for longest is forgotten."""
        used = self._clocks[0]
        leapt_ns = used.map.at(seen.end_ns)[0] - seen.arrival_ns
        newest = max(c.number for c in self._clocks)
        clock = _SenderClock(newest + 1, leapt_ns)
        self._clocks = [used, clock]
        return clock

    def _unwrapped(self, raw_ns: int) -> int:
        """`raw_ns`, whole turns of the sender's counter further, next to the newest time."""
        raw_ns = min(max(raw_ns, -FARTHEST_NS), FARTHEST_NS)
        return raw_ns + round((self._newest_ns - raw_ns) / WRAP_NS) * WRAP_NS
