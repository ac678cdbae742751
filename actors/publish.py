"""Publication: predictions in, results, events and health out to every sink.

For each window: its health first, then its result, then its events. A sink that fails is
reported once and left out from then on; the others go on, and nothing already sent is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from actors.messages import Cargo, Notice, Scored, StreamEnded
from actors.report import StreamTotals
from streaming.clock import NS_PER_MS, Clock
from streaming.errors import SinkError
from streaming.events.across import ALL, Across
from streaming.events.engine import EventEngine, rules_of
from streaming.figures import Figures
from streaming.health import Health, HealthKind
from streaming.modality import Modality
from streaming.open_events import OpenEvents
from streaming.results import Event, Phase, Prediction, Result, Status
from streaming.settings import AttuneSettings
from streaming.sinks import MetricsSink, Publisher, Sink

BEGUN = (HealthKind.STREAM_ADDED, HealthKind.RESUMED)
GIVEN_UP = {
    None: "windows",
    Modality.VIDEO: "pictures",
    Modality.AUDIO: "samples",
    Modality.TEXT: "texts",
}


class PublishStage:
    """Events, sequence numbers and sinks of all streams.

    `published`: of streams that another stage has published so far, the last settled window. A
    window that comes a second time is passed over, and one that never came is told of as a gap.
    `ended`: how many of each stream's segments are over. `left_open`: the ends of events that it
    has left open; beside those that a journal knows of, they are the first that is said.
    `testify`: is called before an event begins; `will` has its end by then.
    """

    def __init__(
        self,
        settings: AttuneSettings,
        sinks: Sequence[Sink],
        clock: Clock,
        published: Mapping[str, int] | None = None,
        ended: Mapping[str, int] | None = None,
        left_open: Sequence[Event] = (),
        testify: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings.events
        self._clock = clock
        self._publisher = Publisher(sinks, heartbeat_ms=settings.output.heartbeat_ms)
        self._rules = rules_of(settings.events)
        self._across = Across([rule for rule in self._rules if rule.settings.across])
        self._engines: dict[str, EventEngine] = {}
        self._begun: set[str] = set()  # their next window need not follow upon the last
        self.published = dict(published or {})
        self.ended = dict(ended or {})
        self.totals: dict[str, StreamTotals] = {}
        self.failures: list[str] = []
        self._testify, self._open = testify, OpenEvents()
        self._touched: set[str] = set()
        known = {(e.stream, e.id): e for e in (*left_open, *self._publisher.left_open())}
        for event in known.values():
            self._send(event)

    def handle(self, cargo: Cargo) -> None:
        """Say what `cargo` amounts to."""
        match cargo:
            case Scored(prediction=prediction):
                if prediction.result.index > self.published.get(prediction.result.stream, -1):
                    self._publish(prediction)
            case StreamEnded():
                if cargo.segment >= self.ended.get(cargo.stream, 0):
                    self._end(cargo)
            case Notice(health=health):
                if health.kind in BEGUN:
                    self._begun.add(health.stream)
                self._send_health((health,), self._totals(health.stream))
            case Figures():
                for sink in self._publisher.sinks:
                    if isinstance(sink, MetricsSink):
                        sink.metrics.observe(cargo)
            case _:
                raise TypeError(f"publication takes no {type(cargo).__name__}")

    def tick(self) -> None:
        """Do what the passing of time asks for: the heartbeat."""
        self._try(lambda: self._publisher.beat(self._clock.now_ns()))
        for works, detail in self._publisher.news():
            kind = HealthKind.RECOVERED if works else HealthKind.SINK_FAILED
            for stream, totals in list(self.totals.items()):
                self._send(Health(stream=stream, kind=kind, t_ns=totals.end_ns, detail=detail))

    def will(self) -> dict[str, tuple[Event, ...]]:
        """By stream, what its next publisher is to end if this one is lost; of those streams of
        which something was said since this was asked for."""
        touched, self._touched = self._touched, set()
        return {stream: self._open.ends(stream) for stream in touched}

    def close(self) -> None:
        """Flush and close every sink. Streams that never ended have their events ended."""
        for stream in list(self._engines):
            self._end(StreamEnded(stream=stream, end_ns=self._totals(stream).end_ns))
        self._end_across()
        self._try(self._publisher.close)

    def _publish(self, prediction: Prediction) -> None:
        result = prediction.result
        totals = self._totals(result.stream)
        totals.skipped += prediction.skipped
        self._send_health((*self._missing(result, prediction.skipped), *prediction.health), totals)
        self._send(self._timed(prediction, totals))
        totals.statuses[result.status] = totals.statuses.get(result.status, 0) + 1
        if result.status is Status.PROVISIONAL:
            return  # events rest on settled windows only
        self.published[result.stream] = result.index
        totals.windows += 1
        totals.end_ns = result.end_ns
        engine = self._engines.get(result.stream)
        if engine is None:
            engine = EventEngine(result.stream, self._settings, self._rules)
            self._engines[result.stream] = engine
        self._send_events(engine.step(prediction), totals)
        self._look_across(prediction, engine)

    def _look_across(self, prediction: Prediction, engine: EventEngine) -> None:
        result = prediction.result
        end_ns = prediction.origin_ns + result.end_ns
        events = self._across.step(result.stream, engine.values, end_ns)
        if events:
            self._send_events(events, self._totals(ALL))

    def _end_across(self) -> None:
        """End what was told of the streams together, if anything was."""
        if ALL in self.totals:
            self._send_events(self._across.finish(), self._totals(ALL))
            kind, t_ns = HealthKind.STREAM_ENDED, self._across.now_ns
            self._send(Health(stream=ALL, kind=kind, t_ns=t_ns))

    def _missing(self, result: Result, skipped: int) -> tuple[Health, ...]:
        """Tells of windows between the last one and this that no stage has delivered, and that
        were not `skipped`."""
        last = self.published.get(result.stream)
        if last is None or result.stream in self._begun:
            self._begun.discard(result.stream)
            return ()
        count = result.index - last - 1 - skipped
        if count < 1 or result.status is Status.PROVISIONAL:
            return ()
        windows = f"window {last + 1}" if count == 1 else f"windows {last + 1} to {last + count}"
        if skipped:
            windows = f"{count} of the windows after {last}"
        return (
            Health(
                stream=result.stream,
                kind=HealthKind.GAP,
                t_ns=result.start_ns,
                count=count,
                detail=f"{windows} went down with a part of the pipeline",
            ),
        )

    def _timed(self, prediction: Prediction, totals: StreamTotals) -> Result:
        """The result with its latency, which is known only where input was paced."""
        result = prediction.result
        totals.model_ms.append(result.timing.model_ms)
        if result.timing.align_ms is None:
            return result
        end_ns = prediction.origin_ns + result.end_ns
        total_ms = round((self._clock.now_ns() - end_ns) / NS_PER_MS, 3)
        if result.index >= totals.first_index:
            totals.latency_ms.append(total_ms)
            totals.first_index = result.index + 1
        timing = msgspec.structs.replace(result.timing, total_ms=total_ms)
        return msgspec.structs.replace(result, timing=timing)

    def _end(self, ended: StreamEnded) -> None:
        totals = self._totals(ended.stream)
        engine = self._engines.pop(ended.stream, None)
        self._across.leave(ended.stream)
        if engine is not None:
            self._send_events(engine.finish(ended.end_ns), totals)
        totals.skipped += ended.skipped
        self._send_health(ended.health, totals)
        self._send(
            Health(
                stream=ended.stream,
                kind=HealthKind.STREAM_ENDED,
                t_ns=ended.end_ns,
                count=totals.windows,
                detail=_ledger_line(ended, totals.given_up),
            )
        )
        totals.add(ended.pushed, ended.windowed, ended.dropped)
        self.ended[ended.stream] = ended.segment + 1
        self._try(self._publisher.flush)

    def _send_health(self, found: Sequence[Health], totals: StreamTotals) -> None:
        for health in found:
            totals.health[health.kind] = totals.health.get(health.kind, 0) + max(health.count, 1)
            if health.kind is HealthKind.OVERLOAD:
                what = GIVEN_UP[health.modality]
                totals.given_up[what] = totals.given_up.get(what, 0) + health.count
            self._send(health)

    def _send_events(self, events: Sequence[Event], totals: StreamTotals) -> None:
        for event in events:
            if event.phase is Phase.START:
                totals.events[event.kind] = totals.events.get(event.kind, 0) + 1
                self._note(event)
                self._testify()
            self._send(event)

    def _send(self, message: Result | Event | Health) -> None:
        failure = self._try(lambda: self._publisher.publish(message))
        self._note(message)
        if failure:
            self._tell_the_others(message.stream, failure)

    def _note(self, message: Result | Event | Health) -> None:
        self._open.take(message)
        self._touched.add(message.stream)

    def _tell_the_others(self, stream: str, failure: str) -> None:
        end_ns = self._totals(stream).end_ns
        self._send(Health(stream=stream, kind=HealthKind.SINK_FAILED, t_ns=end_ns, detail=failure))

    def _try(self, act: Callable[[], object]) -> str | None:
        """What went wrong with a sink, which the publisher leaves out from then on."""
        try:
            act()
        except SinkError as error:
            self.failures.append(str(error))
            return str(error)
        return None

    def _totals(self, stream: str) -> StreamTotals:
        return self.totals.setdefault(stream, StreamTotals())


def _ledger_line(ended: StreamEnded, given_up: Mapping[str, int]) -> str:
    dropped = ", ".join(f"{n} {reason}" for reason, n in sorted(ended.dropped.items()) if n)
    line = f"{ended.pushed} packets: {ended.windowed} windowed, {dropped or '0'} dropped"
    overload = ", ".join(f"{n} {what}" for what, n in given_up.items())
    return f"{line}; given up under overload: {overload}" if overload else line
