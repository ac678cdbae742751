"""Clocks are arguments, so that time can be driven by hand.

A session clock counts integer nanoseconds, never runs backwards, and shares its zero with
every process on the host (CLOCK_MONOTONIC). A stream's own time line is the session clock
minus the stream's `origin_ns`: windows and packets speak of stream time, and only pacing
and latency figures need the session clock.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """What every stage may ask of time."""

    def now_ns(self) -> int:
        """Nanoseconds on the session clock."""
        ...

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        """Sleep until `t_ns`; return False when `stop` was set first."""
        ...


class SystemClock:
    """The host's monotonic clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        """Sleep until `t_ns`; return False when `stop` was set first."""
        gate = stop or threading.Event()
        while not gate.is_set():
            left_ns = t_ns - time.monotonic_ns()
            if left_ns <= 0:
                return True
            gate.wait(left_ns / NS_PER_S)
        return False


class HandClock:
    """A clock that moves only when told to. Waiting on it moves it there at once."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, delta_ns: int) -> None:
        """Move forward by `delta_ns` >= 0 nanoseconds."""
        if delta_ns < 0:
            raise ValueError(f"a clock never runs backwards: advance by >= 0 ns, not {delta_ns}")
        self._now_ns += delta_ns

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        if stop is not None and stop.is_set():
            return False
        self._now_ns = max(self._now_ns, t_ns)
        return True
