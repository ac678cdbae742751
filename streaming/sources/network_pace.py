"""How a sender's packets come: steadily, or in pieces, as a web server with HLS gives them.

Invariant: no silence counts as a loss that is shorter than one and a half of the pauses lately seen
(by RFC 8216, 6.2.2, a healthy server has a new playlist by then) and some slack for the way. Only a
silence of all tracks does: what breaks in the middle of a piece may give one of them alone.
"""

from __future__ import annotations

from collections import deque

from streaming.clock import NS_PER_MS, NS_PER_S

SILENT_NS = 2 * NS_PER_S
SLACK_NS = 500 * NS_PER_MS
PAUSE_NS = 100 * NS_PER_MS  # a longer one lies between two pieces
LATELY, FEWEST = 10, 2  # pauses


class Pace:
    """Of one connection, whose packets count `delay_ns` later than they come."""

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._came_ns: int | None = None
        self._pauses: deque[int] = deque(maxlen=LATELY)

    def note(self, arrival_ns: int) -> None:
        """A packet has come."""
        if self._came_ns is not None and arrival_ns - self._came_ns > PAUSE_NS:
            self._pauses.append(arrival_ns - self._came_ns)
        self._came_ns = arrival_ns

    def is_silent(self, now_ns: int) -> bool:
        """Whether nothing at all has come for so long that it counts as lost."""
        return self._came_ns is not None and now_ns - self._came_ns > self._patience_ns()

    def _patience_ns(self) -> int:
        most_ns = SILENT_NS + self._delay_ns
        if len(self._pauses) < FEWEST:
            return most_ns
        return min(most_ns, max(SILENT_NS, max(self._pauses) * 3 // 2 + SLACK_NS))
