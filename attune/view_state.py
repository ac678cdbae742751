"""What the live view remembers of one stream. Invariant: bounded, whatever comes."""

from __future__ import annotations

from collections import Counter, deque
from copy import copy

from streaming.health import Health, HealthKind
from streaming.results import Event, Phase, Result

HISTORY = 400  # results; at two a second a bit over three minutes

# What somebody asked for, and a restart: when it is told of, all is well again.
NO_TROUBLE = (
    HealthKind.RESTARTED,
    HealthKind.STREAM_ADDED,
    HealthKind.PAUSED,
    HealthKind.RESUMED,
    HealthKind.STREAM_REMOVED,
)


class StreamState:
    """The latest of one stream. `mood` and `delay_ms` are histories, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.result: Result | None = None
        self.mood: deque[float | None] = deque(maxlen=HISTORY)
        self.delay_ms: deque[float] = deque(maxlen=HISTORY)
        self.open_events: dict[str, Event] = {}
        self.counts: Counter[str] = Counter()
        self.trouble: dict[str, Health] = {}
        self.missing = 0
        self.ended = False

    @property
    def now_ns(self) -> int:
        """How far the stream has come, on its own time line."""
        return 0 if self.result is None else self.result.end_ns

    def take(self, message: Result | Event | Health) -> None:
        """Bring the state up to date."""
        if isinstance(message, Result):
            self._take_result(message)
        elif isinstance(message, Event):
            self._take_event(message)
        else:
            self._take_health(message)

    def snapshot(self) -> StreamState:
        """A copy that later messages do not touch."""
        twin = copy(self)
        for name in ("mood", "delay_ms", "open_events", "counts", "trouble"):
            setattr(twin, name, copy(getattr(self, name)))
        return twin

    def restart(self) -> None:
        """The publisher began anew: nothing of before is still open or wrong."""
        self.open_events.clear()
        self.trouble.clear()
        self.ended = False

    def _take_result(self, result: Result) -> None:
        shown = self.result
        if shown is not None and shown.epoch == result.epoch and shown.index >= result.index:
            self._settle(result)
        else:
            self._show(result)

    def _show(self, result: Result) -> None:
        self.result = result
        self.counts["results"] += 1
        self.mood.append(None if result.sentiment is None else result.sentiment.score)
        if result.timing.total_ms is not None:
            self.delay_ms.append(result.timing.total_ms)

    def _settle(self, result: Result) -> None:
        """What was shown as provisional is settled; only the latest is still to be seen."""
        if self.result is not None and self.result.index == result.index:
            self.result = result
            self.mood[-1] = None if result.sentiment is None else result.sentiment.score

    def _take_event(self, event: Event) -> None:
        if event.phase is Phase.END:
            self.open_events.pop(event.id, None)
            return
        self.counts["events"] += event.phase is Phase.START
        self.open_events[event.id] = event

    def _take_health(self, health: Health) -> None:
        self.counts["health"] += 1
        where = health.modality or ""
        if health.kind is HealthKind.STREAM_ENDED:
            self.ended = True
            self.open_events.clear()
        elif health.kind is HealthKind.RECOVERED:
            self.trouble.pop(where, None)
        elif health.kind not in NO_TROUBLE:
            self.trouble[where] = health
