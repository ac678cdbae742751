"""When an actor was last heard of, and how often it may still be started anew."""

from __future__ import annotations

from collections import deque

from streaming.clock import NS_PER_S

SPAN_NS = 60 * NS_PER_S


class Vitals:
    """Of one part. `most` restarts within `SPAN_NS`; `hang_ns` of silence is taken for death."""

    def __init__(self, most: int, hang_ns: int) -> None:
        self._most, self._hang_ns = most, hang_ns
        self._heard_ns: int | None = None
        self._restarts: deque[int] = deque()

    def heard(self, now_ns: int) -> None:
        """It gave a sign of life, or has just been told to run."""
        self._heard_ns = now_ns

    def hangs(self, now_ns: int) -> bool:
        """Whether it has been silent for too long."""
        return self._heard_ns is not None and now_ns - self._heard_ns > self._hang_ns

    def may_restart(self, now_ns: int) -> bool:
        """Whether one more restart is in order; counts it."""
        self._heard_ns = None
        while self._restarts and self._restarts[0] < now_ns - SPAN_NS:
            self._restarts.popleft()
        if len(self._restarts) >= self._most:
            return False
        self._restarts.append(now_ns)
        return True
