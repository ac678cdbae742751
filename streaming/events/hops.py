"""Hops: the span of time each result owns, for the kinds that judge whole results.

Windows overlap, so a result speaks alone only for what is new in it: from the end of the result
before to its own end. Invariant: spans follow one another without overlap, and a result that is
sent again (revised) owns none.
"""

from __future__ import annotations

from streaming.results import Result


class HopClock:
    """Gives each new result its span."""

    def __init__(self) -> None:
        self._until_ns: int | None = None

    def span(self, result: Result) -> tuple[int, int] | None:
        """`(start_ns, end_ns)` of what is new in `result`; None when nothing is."""
        if self._until_ns is None:
            start_ns = result.start_ns
        elif result.end_ns <= self._until_ns:
            return None
        else:
            start_ns = max(self._until_ns, result.start_ns)
        self._until_ns = result.end_ns
        return start_ns, result.end_ns
