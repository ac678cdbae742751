"""Admission: whether the machine carries one more stream, judged by what the present ones cost.

CPU time of all parts over the last `SPAN_NS`, per stream, and what one more would make of it.
Aligner, analyser and publisher do one thing at a time, so none of them may need a core of its own
and more. What a run costs without any stream is taken for the streams' cost: the estimate errs on
the safe side.
"""

from __future__ import annotations

from collections import deque

from streaming.clock import NS_PER_S

SPAN_NS = 10 * NS_PER_S
LEAST_NS = 3 * NS_PER_S  # less than this says nothing
MOST = 0.85  # of a core, or of all
ONE_AT_A_TIME = ("align", "infer", "publish")


class Load:
    """CPU time by part, as they tell it."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], deque[tuple[int, float]]] = {}

    def note(self, name: str, turn: int, cpu_s: float, now_ns: int) -> None:
        """The part has used `cpu_s` seconds of CPU so far."""
        if turn and (name, turn - 1) in self._parts:
            del self._parts[name, turn - 1]
        told = self._parts.setdefault((name, turn), deque())
        told.append((now_ns, cpu_s))
        while told[0][0] < now_ns - SPAN_NS:
            told.popleft()

    def cores(self) -> dict[str, float]:
        """How many cores each part keeps busy; those of which too little is known are left out."""
        found = {}
        for (name, _), told in self._parts.items():
            (since_ns, before_s), (now_ns, now_s) = told[0], told[-1]
            if now_ns - since_ns >= LEAST_NS:
                found[name] = (now_s - before_s) * NS_PER_S / (now_ns - since_ns)
        return found

    def full(self, streams: int, cores: int) -> str | None:
        """Why one more than `streams` would be too much on `cores` cores, or None."""
        if not streams:
            return None
        busy = self.cores()
        more = (streams + 1) / streams
        for name in ONE_AT_A_TIME:
            if busy.get(name, 0.0) * more > MOST:
                return _too_much(streams, name, 100 * busy[name], 100)
        whole = sum(busy.values())
        if whole * more > MOST * cores:
            return _too_much(streams, "the pipeline", 100 * whole, 100 * cores)
        return None


def _too_much(streams: int, what: str, busy: float, of: float) -> str:
    return (
        f"this machine is full: with {streams} streams {what} takes {busy:.0f} of {of:.0f} % CPU; "
        "remove a stream, or ask again with force"
    )
