"""A source that cannot be opened at once, under a clock driven by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from actors.ingest import live_modalities, open_sources
from actors.messages import Beginning
from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.packets import AudioChunk, Modality, Packet, Progress
from streaming.settings import AttuneSettings, StreamSettings
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    SyntheticSettings,
    TextSettings,
)
from streaming.sources.awaited import AwaitedSource
from streaming.sources.base import Source
from streaming.sources.scripted import ScriptedSource

BEGIN_NS = 700 * NS_PER_S
WAIT_S = 10.0
BOTH = (Modality.VIDEO, Modality.AUDIO)


def sound(clock: HandClock) -> Packet:
    samples = np.zeros((160, 1), np.float32)
    return Packet(
        stream="s",
        modality=Modality.AUDIO,
        seq=0,
        t_ns=clock.now_ns(),
        payload=AudioChunk(samples=samples, sample_rate_hz=16_000),
        duration_ns=10 * NS_PER_MS,
        uncertainty_ns=0,
    )


def ended(modality: Modality, t_ns: int) -> Progress:
    return Progress(stream="s", modality=modality, t_ns=t_ns, ended=True)


class Opener:
    """Fails `failures` times, then gives sound, and words that the stream does not have."""

    def __init__(self, clock: HandClock, failures: int) -> None:
        self._clock, self._failures = clock, failures
        self.tried_ns: list[int] = []

    def __call__(self) -> ScriptedSource:
        self.tried_ns.append(self._clock.now_ns())
        if len(self.tried_ns) <= self._failures:
            raise SourceError("the microphone is not there")
        t_ns = self._clock.now_ns()
        items = [
            sound(self._clock),
            ended(Modality.AUDIO, t_ns),
            ended(Modality.TEXT, t_ns),
        ]
        return ScriptedSource((Modality.AUDIO, Modality.TEXT), items, live=True)


def test_it_is_tried_less_and_less_and_told_of_once():
    clock = HandClock(BEGIN_NS)
    opener = Opener(clock, failures=4)
    source = AwaitedSource(opener, BOTH, stream="s", clock=clock)
    items = list(source.items())
    #  0    0.25   0.75       1.75                3.75 s
    #  x----x------x----------x-------------------open, sound
    after = [(t - BEGIN_NS) / NS_PER_S for t in opener.tried_ns]
    assert after == [0, 0.25, 0.75, 1.75, 3.75]
    told = [(i.kind, i.modality) for i in items if isinstance(i, Health)]
    assert told == [
        (HealthKind.SOURCE_LOST, Modality.VIDEO),
        (HealthKind.SOURCE_LOST, Modality.AUDIO),
        (HealthKind.RECOVERED, Modality.AUDIO),
    ]
    promised = [i.t_ns for i in items if isinstance(i, Progress) and not i.ended]
    assert promised == sorted(promised)
    assert 3 * NS_PER_S <= promised[-1] - BEGIN_NS <= 3.75 * NS_PER_S
    (packet,) = (i for i in items if isinstance(i, Packet))
    assert packet.t_ns >= promised[-1]
    ends = [i.modality for i in items if isinstance(i, Progress) and i.ended]
    assert sorted(ends) == sorted(BOTH)  # and none of the words, which are not the stream's


def test_one_that_opens_at_once_is_no_news():
    clock = HandClock(BEGIN_NS)
    source = AwaitedSource(Opener(clock, 0), (Modality.AUDIO,), stream="s", clock=clock)
    assert source.ordered is False
    items = list(source.items())
    assert source.ordered is True
    assert not [i for i in items if isinstance(i, Health)]


def test_closing_ends_the_waiting():
    clock = HandClock(BEGIN_NS)
    source = AwaitedSource(Opener(clock, 99), (Modality.AUDIO,), stream="s", clock=clock)
    items = source.items()
    for _ in range(5):
        next(items)
    source.close()
    rest = list(items)
    assert rest[-1] == ended(Modality.AUDIO, rest[-1].t_ns)
    assert len(rest) <= 3


class LetGo(ScriptedSource):
    """Knows that it was closed."""

    def __init__(self) -> None:
        super().__init__((Modality.AUDIO,), [], live=True)
        self.let_go = threading.Event()

    def close(self) -> None:
        super().close()
        self.let_go.set()


def waiting(opener: Callable[[], Source]) -> tuple[threading.Event, Callable[[], Source]]:
    """`opener`, which waits for the event."""
    may_open = threading.Event()

    def wait_and_open() -> Source:
        assert may_open.wait(WAIT_S)
        return opener()

    return may_open, wait_and_open


def test_nothing_waits_while_it_is_being_opened():
    clock = HandClock(BEGIN_NS)
    may_open, opener = waiting(Opener(clock, 0))
    source = AwaitedSource(opener, (Modality.AUDIO,), stream="s", clock=clock)
    items = source.items()
    #  0    1 s   2 s   3 s  opened
    #  promised 0.5 s behind
    assert next(items).t_ns == BEGIN_NS
    for second in range(1, 4):
        clock.advance(NS_PER_S)
        assert next(items).t_ns == BEGIN_NS + second * NS_PER_S - NS_PER_S // 2
    may_open.set()
    rest = list(items)
    assert [type(i) for i in rest if not isinstance(i, Progress)] == [Packet]
    assert rest[-1] == ended(Modality.AUDIO, BEGIN_NS + 3 * NS_PER_S)


def test_one_that_is_closed_while_it_is_being_opened_is_let_go():
    clock, given = HandClock(BEGIN_NS), LetGo()
    may_open, opener = waiting(lambda: given)
    source = AwaitedSource(opener, (Modality.AUDIO,), stream="s", clock=clock)
    items = source.items()
    next(items)
    source.close()
    assert [i.ended for i in items] == [True]
    may_open.set()
    assert given.let_go.wait(WAIT_S)


def test_live_sources_of_a_stream_that_was_read_before_are_awaited():
    sources = (
        SyntheticSettings(duration_s=4),
        MediaSettings(url="rtsp://127.0.0.1:1/x", audio=False),
        MicrophoneSettings(device="not there"),
        CameraSettings(device="not there"),
        TextSettings(path="ws://127.0.0.1:1"),
    )
    assert [live_modalities(s) for s in sources] == [
        (),
        (Modality.VIDEO,),
        (Modality.AUDIO,),
        (Modality.VIDEO,),
        (Modality.TEXT,),
    ]
    stream = StreamSettings(name="s", sources=sources[1:3], consent=True)
    before = Beginning(origin_ns=BEGIN_NS, modalities=BOTH)
    opened = open_sources(stream, AttuneSettings(streams=(stream,)), before)
    assert [s.modalities for s in opened] == [(Modality.VIDEO,), (Modality.AUDIO,)]
    assert all(isinstance(s, AwaitedSource) for s in opened)
