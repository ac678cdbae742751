"""Another host, simulated: its clock, the ways to it and back, and the exchanges with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.host_clock import Exchange

BEGIN_NS = 5_000 * NS_PER_S
Delay = Callable[[], int]


@dataclass(frozen=True)
class Host:
    """A clock that was `zero_ns` at session time `BEGIN_NS` and runs fast by `drift_ppm`."""

    zero_ns: int = -70_000 * NS_PER_S
    drift_ppm: int = 100

    def at(self, session_ns: int) -> int:
        """What it shows at `session_ns`; it ticks in whole nanoseconds."""
        past_ns = session_ns - BEGIN_NS
        return self.zero_ns + past_ns + past_ns * self.drift_ppm // 1_000_000


def exchanges(
    host: Host,
    count: int,
    *,
    there: Delay,
    back: Delay,
    held_ns: int = 50_000,
    period_ns: int = 250 * NS_PER_MS,
    begin_ns: int = BEGIN_NS,
) -> Iterator[Exchange]:
    """Round trips, the next one `period_ns` after the last; `there` and `back` are delays in ns."""
    now_ns = begin_ns
    for _ in range(count):
        received_ns = now_ns + there()
        replied_ns = received_ns + held_ns
        heard_ns = replied_ns + back()
        yield Exchange(now_ns, host.at(received_ns), host.at(replied_ns), heard_ns)
        now_ns = heard_ns + period_ns
