"""The engine: every kind of event of one stream, judged together.

All kinds but one are rules. Invariant: pure. The same predictions give the same events with the
same ids, whatever the time of day, and after `finish` every event that started has ended exactly
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from streaming.errors import UsageError
from streaming.events.change import SentimentChange
from streaming.events.expressions import Values
from streaming.events.hops import HopClock
from streaming.events.quantities import quantities
from streaming.events.rules import Rule, compile_rules
from streaming.events.signals import Frame, Mood, Tracks, horizon_ns, look_values
from streaming.events.trackers import HopTracker, LookTracker, TrackTracker
from streaming.results import Event, Prediction
from streaming.settings import EventSettings, RuleSettings

BUILTIN_FILE = Path(__file__).with_name("builtin.yaml")
BUILTIN = msgspec.yaml.decode(BUILTIN_FILE.read_bytes(), type=tuple[RuleSettings, ...])
IN_CODE = ("sentiment_change",)
KIND_NAMES = (*(rule.name for rule in BUILTIN), *IN_CODE)


def rules_of(settings: EventSettings) -> tuple[Rule, ...]:
    """All rules, compiled: the built-in ones whose place none of one's own takes, then these.
    Raises RuleError, UsageError."""
    if settings.speech_off > settings.speech_on:
        raise UsageError(
            f"events: speech_off ({settings.speech_off}) must not be above"
            f" speech_on ({settings.speech_on})"
        )
    given = constants(settings)
    own = {rule.name for rule in settings.rules}
    before = compile_rules([r for r in BUILTIN if r.name not in own], IN_CODE, constants=given)
    return before + compile_rules(settings.rules, IN_CODE, constants=given, before=before)


def constants(settings: EventSettings) -> dict[str, float]:
    """The settings that rules may name."""
    given = msgspec.structs.asdict(settings)
    return {name: float(value) for name, value in given.items() if name != "rules"}


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
        rules = rules_of(settings) if rules is None else rules
        local = [r for r in rules if not r.settings.across]
        own = [r for r in local if stream in (r.settings.streams or (stream,))]
        self._frames = [_Framed(stream, r) for r in own if r.settings.every in TRACKS]
        self._looks = [LookTracker(stream, r) for r in own if r.settings.every == "look"]
        self._rules = [HopTracker(stream, r) for r in own if r.settings.every == "hop"]
        self._change = SentimentChange(stream, settings)
        self._names = (*IN_CODE, *(r.settings.name for r in local))
        self._tracks = Tracks(settings.loudness_floor_dbfs)
        self._mood, self._hops, self._happening = Mood(), HopClock(), Happening()
        self.values: Values = {}

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in one prediction."""
        events = [*self._heard(prediction), *self._seen(prediction)]
        events += self._change.step(prediction)
        span = self._hops.span(prediction.result)
        return events if span is None else [*events, *self._judge(prediction, events, *span)]

    def finish(self, t_ns: int) -> list[Event]:
        """End all open events at the latest at `t_ns`, the end of the stream's time line."""
        rest = list(self._tracks.rest(t_ns))
        waited = [e for framed in self._frames for e in framed.finish(rest, t_ns)]
        seen = [e for tracker in self._looks for e in tracker.finish(t_ns)]
        return [*waited, *seen, *(e for tracker in self._rules for e in tracker.finish(t_ns))]

    def _heard(self, prediction: Prediction) -> Iterator[Event]:
        until_ns = horizon_ns(prediction.result)
        new = {
            "speech": self._tracks.speech(prediction),
            "loudness": self._tracks.loudness(prediction),
            "both": list(self._tracks.with_speech(until_ns)),
        }
        for framed in self._frames:
            yield from framed.step(new, prediction.result.end_ns, until_ns)

    def _seen(self, prediction: Prediction) -> Iterator[Event]:
        looks = [(look.t_ns, look_values(look)) for look in prediction.faces]
        for tracker in self._looks:
            for look in looks:
                yield from tracker.look(*look)
            yield from tracker.lapse(prediction.result.end_ns)

    def _judge(
        self, prediction: Prediction, events: list[Event], start_ns: int, end_ns: int
    ) -> list[Event]:
        """Judge the rules of hops in order, each on what those before it have said."""
        values = quantities(prediction.result, self._happening.hop(events), self._names)
        values |= self._mood.hop(prediction.result)
        told: list[Event] = []
        for tracker in self._rules:
            was_open = tracker.open
            told += (said := list(tracker.hop([values], start_ns, end_ns)))
            values[f"event.{tracker.name}"] = was_open or bool(said)
        self.values = values
        return told


TRACKS = ("speech", "loudness")


class _Framed:
    """A rule over the frames of a track, or of both: then it is judged once both are known."""

    def __init__(self, stream: str, rule: Rule) -> None:
        every = rule.settings.every
        self._of = "both" if every == "loudness" and "speech_probability" in rule.names else every
        self._tracker = TrackTracker(stream, rule)

    def step(
        self, new: Mapping[str, Sequence[Frame]], end_ns: int, both_ns: int
    ) -> Iterator[Event]:
        """Judge the new frames. `end_ns`, `both_ns`: up to where one track, or both, are known."""
        for frame in new[self._of]:
            yield from self._tracker.feed(*frame)
        yield from self._tracker.lapse(both_ns if self._of == "both" else end_ns)

    def finish(self, rest: Sequence[Frame], t_ns: int) -> Iterator[Event]:
        """Judge what waited for the other track, and end what is open."""
        for frame in rest if self._of == "both" else ():
            yield from self._tracker.feed(*frame)
        yield from self._tracker.finish(t_ns)


class Happening:
    """Which kinds of event were open at any time of a hop."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def hop(self, events: Iterable[Event]) -> set[str]:
        """Take in what was told in this hop; the kinds that were open in it."""
        events = list(events)
        before = {kind for kind, count in self._open.items() if count}
        for event in events:
            change = {"start": 1, "end": -1}.get(event.phase, 0)
            self._open[event.kind] = self._open.get(event.kind, 0) + change
        return before | {event.kind for event in events}
