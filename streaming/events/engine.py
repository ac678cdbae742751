"""The engine: every kind of event of one stream, stepped together, and the rules over them.

Invariant: pure. The same predictions give the same events with the same ids, whatever the time of
day, and after `finish` every event that started has ended exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence

from streaming.errors import UsageError
from streaming.events.base import Kind
from streaming.events.change import SentimentChange
from streaming.events.contradiction import Contradiction
from streaming.events.expressions import Values
from streaming.events.face import Face
from streaming.events.hops import HopClock
from streaming.events.loudness import LoudnessSpike
from streaming.events.quantities import quantities
from streaming.events.rules import Happening, Rule, RuleTracker, compile_rules
from streaming.events.shift import SentimentShift
from streaming.events.silence import Silence
from streaming.events.speech import Speech
from streaming.results import Event, Prediction
from streaming.settings import EventSettings

KINDS = (Speech, Silence, LoudnessSpike, Face, SentimentShift, Contradiction, SentimentChange)
KIND_NAMES = (
    "speech",
    "silence",
    "loudness_spike",
    "face",
    "sentiment_shift",
    "contradiction",
    "sentiment_change",
)


def rules_of(settings: EventSettings) -> tuple[Rule, ...]:
    """The rules that are set, compiled. Raises RuleError."""
    return compile_rules(settings.rules, KIND_NAMES)


class EventEngine:
    """Predictions of one stream in, in window order; events out. `epoch` and `seq` are left 0.

    `values`: of all quantities in the last hop, for rules across streams.
    """

    def __init__(
        self,
        stream: str,
        settings: EventSettings | None = None,
        rules: Sequence[Rule] | None = None,
    ) -> None:
        settings = settings or EventSettings()
        if settings.speech_off > settings.speech_on:
            raise UsageError(
                f"events: speech_off ({settings.speech_off}) must not be above"
                f" speech_on ({settings.speech_on})"
            )
        self._kinds: tuple[Kind, ...] = tuple(kind(stream, settings) for kind in KINDS)
        rules = rules_of(settings) if rules is None else rules
        self._trackers = [
            (r.settings.name, RuleTracker(stream, r))
            for r in rules
            if not r.settings.across and (stream in r.settings.streams or not r.settings.streams)
        ]
        self._names = (*KIND_NAMES, *(r.settings.name for r in rules if not r.settings.across))
        self._hops = HopClock()
        self._happening = Happening()
        self.values: Values = {}

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in one prediction."""
        events = [event for kind in self._kinds for event in kind.step(prediction)]
        span = self._hops.span(prediction.result)
        return events if span is None else [*events, *self._judge(prediction, events, *span)]

    def finish(self, t_ns: int) -> list[Event]:
        """End all open events at the latest at `t_ns`, the end of the stream's time line."""
        ended = [event for kind in self._kinds for event in kind.finish(t_ns)]
        return [*ended, *(event for _, t in self._trackers for event in t.finish(t_ns))]

    def _judge(
        self, prediction: Prediction, events: list[Event], start_ns: int, end_ns: int
    ) -> list[Event]:
        """Judge the rules in order, each on what those before it have said."""
        values = quantities(prediction.result, self._happening.hop(events), self._names)
        told: list[Event] = []
        for name, tracker in self._trackers:
            was_open = tracker.open
            told += (said := list(tracker.hop([values], start_ns, end_ns)))
            values[f"event.{name}"] = was_open or bool(said)
        self.values = values
        return told
