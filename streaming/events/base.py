"""What every kind of event shares: why it ends, and a scribe that writes the events down.

Invariant: between two calls a kind has at most one event open. The scribe numbers them from 1,
so an id depends only on what was seen, and never lets an interval reach into the one before it.
"""

from __future__ import annotations

from streaming.clock import NS_PER_MS
from streaming.results import Event, Phase

Evidence = dict[str, float | str]

UPDATE_EVERY_NS = 5_000 * NS_PER_MS
# A frame that straddles the window's end comes with the next window, so a track may lag this far
# before its silence means anything. Longer than the longest frame (50 ms) with room to spare.
TRACK_LAG_NS = 500 * NS_PER_MS


class Ended:
    """Why an event ended: the value of `ended_by` in its evidence."""

    OVER = "over"  # the thing itself stopped
    LOST = "input lost"  # nothing was seen or heard any more
    STREAM = "stream ended"


class Scribe:
    """Writes the events of one kind of one stream."""

    def __init__(self, stream: str, kind: str) -> None:
        self._stream, self._kind = stream, kind
        self._count = 0
        self._label = ""
        self._start_ns = 0
        self._free_from_ns = 0

    def start(self, start_ns: int, label: str, score: float, evidence: Evidence) -> Event:
        """Open the next event."""
        self._count += 1
        self._label = label
        self._start_ns = max(start_ns, self._free_from_ns)
        return self._event(Phase.START, None, score, evidence)

    def update(self, score: float, evidence: Evidence) -> Event:
        """Say how the open event goes on."""
        return self._event(Phase.UPDATE, None, score, evidence)

    def end(self, end_ns: int, score: float, evidence: Evidence, ended_by: str) -> Event:
        """Close the open event."""
        self._free_from_ns = max(end_ns, self._start_ns)
        return self._event(Phase.END, self._free_from_ns, score, {**evidence, "ended_by": ended_by})

    def _event(self, phase: Phase, end_ns: int | None, score: float, evidence: Evidence) -> Event:
        return Event(
            stream=self._stream,
            id=f"{self._kind}-{self._count}",
            kind=self._kind,
            phase=phase,
            start_ns=self._start_ns,
            end_ns=end_ns,
            label=self._label,
            score=round(score, 6),
            evidence={k: v if isinstance(v, str) else round(v, 6) for k, v in evidence.items()},
        )
