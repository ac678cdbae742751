"""Regular instants at which a picture is wanted of pictures that come when they come."""

from __future__ import annotations

from fractions import Fraction

from streaming.clock import NS_PER_S


class Ticks:
    """The instants `i / rate_hz`."""

    def __init__(self, rate_hz: float) -> None:
        self._rate = Fraction(rate_hz).limit_denominator(10_000)
        self.next_ns = 0

    def wants(self, t_ns: int) -> bool:
        """Whether the picture at `t_ns` is the first at or after a tick; then the tick is used."""
        if t_ns < self.next_ns:
            return False
        index = int(t_ns * self._rate // NS_PER_S) + 1
        self.next_ns = -int(-index * NS_PER_S // self._rate)
        return True
