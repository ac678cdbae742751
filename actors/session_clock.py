"""The session clock on a node whose own clock is another one: that of the driver's node.

Invariant: it never runs backwards, although what is known of the other clock changes.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from actors.messages import Assigned, Beginning, Cargo, Packets, StreamOpened
from streaming.clock import NS_PER_S, Clock
from streaming.sources.far_clock import FarClock

ROUNDS = 3  # each makes the error smaller by the clocks' difference in rate, at most 500 ppm


class SessionClock:
    """`own`: this host's clock. `far`: tells its time for one of the session; None: it is the
    session clock itself."""

    def __init__(self, own: Clock, far: FarClock | None = None) -> None:
        self._own, self._far = own, far
        self._ahead_ns = 0
        self._latest_ns = -(1 << 63)
        self._lock = threading.Lock()

    def ahead_ns(self) -> int:
        """Session time less this host's time, now."""
        if self._far is None:
            return 0
        with self._lock:
            now_ns = self._own.now_ns()
            for _ in range(ROUNDS):
                session_ns = now_ns + self._ahead_ns
                self._ahead_ns -= self._far.at(session_ns)[0] - now_ns
            return self._ahead_ns

    def now_ns(self) -> int:
        """Nanoseconds on the session clock."""
        now_ns = self._own.now_ns() + self.ahead_ns()
        with self._lock:
            self._latest_ns = max(now_ns, self._latest_ns)
            return self._latest_ns

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        """Sleep until `t_ns`; return False when `stop` was set first."""
        while (left_ns := t_ns - self.now_ns()) > 0:
            if not self._own.wait_until(self._own.now_ns() + min(left_ns, NS_PER_S), stop):
                return False
        return True


def sent_on(cargo: Cargo, ahead_ns: int) -> Cargo:
    """What a reader hands on, with its streams' origin on a clock that is `ahead_ns` of its own."""
    match cargo:
        case StreamOpened():
            return _moved(cargo, ahead_ns)
        case Packets(opened=StreamOpened()):
            return msgspec.structs.replace(cargo, opened=_moved(cargo.opened, ahead_ns))
        case _:
            return cargo


def told(beginnings: dict[str, Beginning], ahead_ns: int) -> dict[str, Beginning]:
    """The same for what it says of its streams."""
    return {name: _moved(beginning, ahead_ns) for name, beginning in beginnings.items()}


def assigned_here(assigned: Assigned, ahead_ns: int) -> Assigned:
    """The other way: a stream to be read, by the clock of the reader."""
    if assigned.beginning is None:
        return assigned
    return msgspec.structs.replace(assigned, beginning=_moved(assigned.beginning, -ahead_ns))


def _moved(opened: Any, by_ns: int) -> Any:
    return msgspec.structs.replace(opened, origin_ns=opened.origin_ns + by_ns) if by_ns else opened
