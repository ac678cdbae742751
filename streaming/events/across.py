"""Rules across streams: judged whenever a stream has a new result, told of as the stream `_all`.

Time of `_all` is session time since its first result. A stream that has ended, or has had no
result for `STALE_NS` of session time, is left out. Unlike all other events these depend on the
order in which streams come, which in real time is not the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from streaming.clock import NS_PER_S
from streaming.events.expressions import Values
from streaming.events.rules import Rule
from streaming.events.trackers import HopTracker
from streaming.results import Event

ALL = "_all"
STALE_NS = 5 * NS_PER_S


class Across:
    """The rules that look at several streams."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._trackers = [HopTracker(ALL, rule) for rule in rules]
        self._latest: dict[str, tuple[int, Values]] = {}
        self._first_ns: int | None = None
        self._now_ns = 0

    @property
    def now_ns(self) -> int:
        """How far `_all` has come."""
        return self._now_ns

    def step(self, stream: str, values: Values, session_ns: int) -> list[Event]:
        """Take in a stream's latest values, which hold until `session_ns`."""
        if not self._trackers:
            return []
        if self._first_ns is None:
            self._first_ns = session_ns
        now_ns = max(session_ns - self._first_ns, self._now_ns)
        self._latest[stream] = (now_ns, values)
        since_ns, self._now_ns = self._now_ns, now_ns
        self._latest = {k: v for k, v in self._latest.items() if v[0] >= now_ns - STALE_NS}
        seen = [known for _, known in self._latest.values()]
        return [e for t in self._trackers for e in t.hop(seen, since_ns, now_ns)]

    def leave(self, stream: str) -> None:
        """A stream has ended."""
        self._latest.pop(stream, None)

    def finish(self) -> list[Event]:
        """End what is open."""
        return [event for t in self._trackers for event in t.finish(self._now_ns)]
