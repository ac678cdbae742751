"""Replay: a recording through the same stages again, and what is different this time.

Invariant: with the recorded settings and media the messages are those of the recording, bit for
bit, but for what names the run (`epoch`, `seq`, `timing`). Without media the windows are: their
spans, why each was closed, and what of every modality was in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from actors.align import AlignStage
from actors.infer import InferStage, Scorer
from actors.messages import Cargo, WindowReady
from actors.publish import PublishStage
from actors.recorded import Checked
from streaming.clock import NS_PER_MS, HandClock
from streaming.errors import SourceError, WireError
from streaming.health import HealthKind
from streaming.results import Health, Message, ModalityReceipt, Result
from streaming.settings import AttuneSettings
from streaming.sinks import MemorySink, Sink
from streaming.sinks.recording import OPENED, PACKETS, TICK
from streaming.sources.recording import Entry, Recording
from streaming.wire import decode as decode_message

TICK_NS = 20 * NS_PER_MS  # how often time passes where the recorded ticks no longer fit
OF_THE_RUN = {"epoch": 0, "seq": 0}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place at which a replay is not the recording. None: there is nothing."""

    stream: str
    number: int
    field: str
    recorded: Any
    replayed: Any


class Replay:
    """Plays `recording`. `analyser` None: windows only, as for a recording without media.

    `same_windows`: the recorded ticks hold; otherwise time passes every 20 ms of it.
    """

    def __init__(
        self,
        recording: Recording,
        settings: AttuneSettings,
        analyser: Scorer | None,
        *,
        same_windows: bool = True,
        sinks: tuple[Sink, ...] = (),
    ) -> None:
        self._recording = recording
        self._clock = HandClock()
        self._checked = Checked()
        self._align = AlignStage(settings.windows, self._clock, sync=settings.sync)
        self._infer = None if analyser is None else InferStage(analyser, self._clock)
        self._memory = MemorySink(live=False)
        self._publish = PublishStage(settings, [self._memory, *sinks], self._clock)
        self._same_windows = same_windows

    def run(self) -> Iterator[tuple[list[Any], list[Any]]]:
        """For each entry: what the recording says there, and what the replay says."""
        for entry in self._recording.entries():
            kind = entry.topic.partition("/")[0]
            if kind in (OPENED, PACKETS, TICK):
                yield [], self._played(entry, kind)
            else:
                yield self._said(_recorded(entry)), []
        self._publish.close()
        yield [], self._messages()

    def _played(self, entry: Entry, kind: str) -> list[Any]:
        ready = self._passed(self._checked.time(entry))
        if kind != TICK:
            ready += self._align.handle(self._checked.cargo(entry))
        elif self._same_windows:
            ready += self._align.tick()
        if self._infer is None:
            return [outline(cargo) for cargo in ready if isinstance(cargo, WindowReady)]
        for scored in self._infer.handle(ready):
            self._publish.handle(scored)
        return self._messages()

    def _passed(self, now_ns: int) -> list[Cargo]:
        """Move the clock to `now_ns`; what comes due on the way, if the recording does not say."""
        ready: list[Cargo] = []
        while not self._same_windows and self._clock.now_ns() + TICK_NS < now_ns:
            first = not self._clock.now_ns()
            self._clock.advance(now_ns - TICK_NS if first else TICK_NS)
            ready += self._align.tick()
        self._clock.advance(max(now_ns - self._clock.now_ns(), 0))
        return ready

    def _messages(self) -> list[Any]:
        sent, self._memory.sent = self._memory.messages(), []
        return [] if self._infer is None else sent

    def _said(self, message: Message) -> list[Any]:
        if isinstance(message, Health) and message.kind is HealthKind.SINK_FAILED:
            return []  # of the recorded run's own doors
        if self._infer is not None:
            return [message]
        return [outline(message)] if isinstance(message, Result) else []


class Comparison:
    """Recorded against replayed, stream by stream, until the first difference."""

    def __init__(self) -> None:
        self._recorded: dict[str, deque[Any]] = {}
        self._replayed: dict[str, deque[Any]] = {}
        self._numbers: dict[str, int] = {}
        self.compared = 0

    def add(self, recorded: list[Any], replayed: list[Any]) -> Difference | None:
        """Take what was said; the first difference, if it is here."""
        for side, said in ((self._recorded, recorded), (self._replayed, replayed)):
            for message in said:
                side.setdefault(_stream(message), deque()).append(_plain(message))
        for stream in {_stream(m) for m in (*recorded, *replayed)}:
            found = self._meet(stream)
            if found is not None:
                return found
        return None

    def rest(self, *, whole: bool) -> Difference | None:
        """What one side said and the other did not. A recording cut short may say less."""
        for side, other in ((self._recorded, self._replayed), (self._replayed, self._recorded)):
            if side is self._replayed and not whole:
                continue
            for stream, left in side.items():
                if left and not other.get(stream):
                    both = (left[0], None) if side is self._recorded else (None, left[0])
                    return self._difference(stream, "", *both)
        return None

    def _meet(self, stream: str) -> Difference | None:
        recorded = self._recorded.setdefault(stream, deque())
        replayed = self._replayed.setdefault(stream, deque())
        while recorded and replayed:
            a, b = recorded.popleft(), replayed.popleft()
            if a != b:
                return self._difference(stream, *_first_difference(a, b))
            self._numbers[stream] = self._numbers.get(stream, 0) + 1
            self.compared += 1
        return None

    def _difference(self, stream: str, field: str, recorded: Any, replayed: Any) -> Difference:
        number = self._numbers.get(stream, 0) + 1
        return Difference(
            stream=stream, number=number, field=field, recorded=recorded, replayed=replayed
        )


def outline(window: WindowReady | Result) -> dict[str, Any]:
    """What alignment alone decides of a window."""
    receipts = window.receipts if isinstance(window, WindowReady) else window.modalities
    return {
        "stream": window.stream,
        "index": window.index,
        "start_ns": window.start_ns,
        "end_ns": window.end_ns,
        "closed_by": str(window.closed_by),
        "modalities": {str(m): _bare(receipt) for m, receipt in receipts.items()},
    }


def _bare(receipt: ModalityReceipt) -> dict[str, Any]:
    bare = msgspec.structs.replace(receipt, contribution=None, sentiment=None, emotions=None)
    return dict(msgspec.to_builtins(bare))


def _stream(message: Any) -> str:
    return str(message["stream"] if isinstance(message, dict) else message.stream)


def _plain(message: Any) -> dict[str, Any]:
    plain = dict(msgspec.to_builtins(message))
    plain.pop("timing", None)
    return plain | {key: zero for key, zero in OF_THE_RUN.items() if key in plain}


def _first_difference(a: Any, b: Any, path: str = "") -> tuple[str, Any, Any]:
    """Where two unlike trees part: the path, and what each has there."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            if a.get(key) != b.get(key):
                return _first_difference(a.get(key), b.get(key), f"{path}.{key}" if path else key)
    return path, a, b


def _recorded(entry: Entry) -> Message:
    try:
        return decode_message(entry.topic.encode(), entry.data)
    except WireError as error:
        raise SourceError(f"the recording's message {entry.topic}: {error}") from None
