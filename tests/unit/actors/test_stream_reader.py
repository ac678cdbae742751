"""A reader: merged by the time of delivery, cut on hop boundaries, never late in silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from actors.messages import Beginning, Cargo, Packets, StreamOpened
from actors.stream_reader import StreamReader
from streaming.clock import NS_PER_MS, HandClock
from streaming.errors import SourceError
from streaming.health import HealthKind
from streaming.packets import (
    T_NS,
    AudioChunk,
    FaceObservation,
    Modality,
    Packet,
    Progress,
    TextMessage,
    VideoFrame,
)
from streaming.settings import AttuneSettings, PipelineSettings
from streaming.sources.base import Item
from streaming.sources.scripted import ScriptedSource

MS = NS_PER_MS


def word(seq: int, t_ms: int) -> Packet:
    return Packet(
        stream="s",
        modality=Modality.TEXT,
        seq=seq,
        t_ns=t_ms * MS,
        payload=TextMessage(text=str(seq)),
    )


def sound(seq: int, t_ms: int, length_ms: int) -> Packet:
    return Packet(
        stream="s",
        modality=Modality.AUDIO,
        seq=seq,
        t_ns=t_ms * MS,
        duration_ns=length_ms * MS,
        payload=AudioChunk(samples=np.zeros((1, 1), np.float32), sample_rate_hz=16_000),
    )


def picture(seq: int, t_ms: int) -> Packet:
    return Packet(
        stream="s",
        modality=Modality.VIDEO,
        seq=seq,
        t_ns=t_ms * MS,
        payload=VideoFrame(pixels=np.zeros((8, 8, 3), np.uint8)),
    )


def ended(modality: Modality, t_ms: int) -> Progress:
    return Progress(stream="s", modality=modality, t_ns=t_ms * MS, ended=True)


def read(*sources: ScriptedSource, clock: HandClock | None = None, fast: bool = False):
    """All batches that a reader makes of `sources`, by modality."""
    out: list[Cargo] = []
    pace = "fast" if fast else "realtime"
    settings = AttuneSettings(pipeline=PipelineSettings(pace=pace))
    StreamReader(
        "s", sources, settings, clock or HandClock(), lambda c: out.append(c) or True
    ).run()
    opened, *rest = out
    assert isinstance(opened, StreamOpened)
    batches = [c.batch for c in rest if isinstance(c, Packets)]
    return {m: [b for b in batches if b.modality is m] for m in opened.modalities}


def test_batches_are_cut_on_hop_boundaries_and_promise_what_is_safe() -> None:
    # text   0 . . . . 1 | . 2 . . . . | . . 3
    # ms     0       400  500         1000   1200
    script = [word(0, 0), word(1, 400), word(2, 600), word(3, 1200), ended(Modality.TEXT, 1201)]
    batches = read(ScriptedSource((Modality.TEXT,), script))[Modality.TEXT]

    assert [b.header[:, T_NS].tolist() for b in batches] == [
        [0, 400 * MS],
        [600 * MS],
        [1200 * MS],
    ]
    assert [b.progress_ns for b in batches] == [500 * MS, 1000 * MS, 1201 * MS]
    assert [b.ended for b in batches] == [False, False, True]


def test_sound_belongs_to_the_hop_in_which_its_last_sample_came() -> None:
    # sound  [-------0-------)[-------1-------)
    # ms     0               500            1000
    script = [sound(0, 0, 500), sound(1, 500, 500), ended(Modality.AUDIO, 1000)]
    batches = read(ScriptedSource((Modality.AUDIO,), script))[Modality.AUDIO]
    assert [(b.header[:, T_NS].tolist(), b.progress_ns) for b in batches] == [
        ([0], 500 * MS),
        ([500 * MS], 1000 * MS),
    ]


@pytest.mark.parametrize("fast", [False, True])
def test_sources_are_merged_and_each_batch_is_the_same_at_any_pace(fast: bool) -> None:
    text = ScriptedSource((Modality.TEXT,), [word(0, 10), word(1, 700), ended(Modality.TEXT, 701)])
    audio = ScriptedSource(
        (Modality.AUDIO,), [sound(0, 0, 500), sound(1, 500, 400), ended(Modality.AUDIO, 900)]
    )
    batches = read(text, audio, fast=fast)
    rows = {m: [b.header[:, T_NS].tolist() for b in bs] for m, bs in batches.items()}
    assert rows == {
        Modality.TEXT: [[10 * MS], [700 * MS]],
        Modality.AUDIO: [[0], [500 * MS]],
    }


def test_a_disordered_source_gets_no_promise() -> None:
    script = [word(1, 450), word(0, 400), word(2, 700), ended(Modality.TEXT, 701)]
    batches = read(ScriptedSource((Modality.TEXT,), script, ordered=False))[Modality.TEXT]
    assert [b.progress_ns for b in batches] == [0, 701 * MS]


def test_a_source_that_breaks_ends_its_modality_and_says_why() -> None:
    audio = ScriptedSource((Modality.AUDIO,), [sound(0, 0, 500), SourceError("the cable is out")])
    text = ScriptedSource((Modality.TEXT,), [word(0, 900), ended(Modality.TEXT, 901)])
    batches = read(audio, text)
    health = [h for bs in batches.values() for b in bs for h in b.health]
    assert [(h.kind, h.detail) for h in health] == [(HealthKind.SOURCE_LOST, "the cable is out")]
    assert batches[Modality.AUDIO][-1].ended
    assert sum(len(b.payloads) for b in batches[Modality.TEXT]) == 1


def test_pictures_that_are_too_old_are_passed_over_and_counted() -> None:
    # due      0   100   200
    # taken    0   then the clock leaps by 2 s
    class Leaping(HandClock):
        def wait_until(self, t_ns, stop=None):
            reached = super().wait_until(t_ns, stop)
            if t_ns == 100 * MS:
                self.advance(2_000 * MS)
            return reached

    script = [picture(0, 0), picture(1, 100), picture(2, 200), ended(Modality.VIDEO, 300)]
    batches = read(ScriptedSource((Modality.VIDEO,), script), clock=Leaping())[Modality.VIDEO]
    seqs = [row for b in batches for row in b.header[:, 0].tolist()]
    drops = [h for b in batches for h in b.health if h.kind is HealthKind.OVERLOAD]
    assert seqs == [0]
    assert [h.count for h in drops] == [2]
    assert all(isinstance(p, FaceObservation) for b in batches for p in b.payloads)


class Sparing(ScriptedSource):
    """Pictures; notes where it was when it was asked to spare."""

    def __init__(self, pictures: list[Item]) -> None:
        super().__init__((Modality.VIDEO,), pictures)
        self.asked: list[tuple[int, bool]] = []
        self._at_ms = 0

    def items(self) -> Iterator[Item]:
        for item in super().items():
            self._at_ms = item.t_ns // MS
            yield item

    def spare(self, wanted: bool) -> None:
        self.asked.append((self._at_ms, wanted))


def test_a_source_that_is_read_too_slowly_is_asked_to_do_with_less_until_it_is_not() -> None:
    # picture every 50 ms, costs   100 ms ........ | nothing ...............
    # late                         0 rising to 1 s | 0 from 2 s on
    # mean                         over 250 ms      under 125 ms
    # asked to spare                    yes ...............| no
    class Slow(HandClock):
        def wait_until(self, t_ns, stop=None):
            reached = super().wait_until(t_ns, stop)
            if t_ns < 1000 * MS and t_ns % (50 * MS) == 0:
                self.advance(100 * MS)
            return reached

    source = Sparing([*(picture(i, 50 * i) for i in range(200)), ended(Modality.VIDEO, 10_000)])
    read(source, clock=Slow())
    assert [wanted for _, wanted in source.asked] == [True, False]
    (began_ms, _), (over_ms, _) = source.asked
    assert 250 < began_ms < 1000
    assert 2000 < over_ms < 5000


def test_of_what_is_past_when_a_stream_is_resumed_only_the_last_seconds_are_read_in_full() -> None:
    # read      0 ....... 18 s | 18 .. 30 s | from 30 s on
    # spared    yes            | no         | no
    pictures = [picture(i, 500 * i) for i in range(80)]
    source = Sparing([*pictures, ended(Modality.VIDEO, 40_000)])
    clock, sent = HandClock(30_000 * MS), list[Cargo]()
    reader = StreamReader("s", [source], AttuneSettings(), clock, lambda c: not sent.append(c))
    reader.run(Beginning(origin_ns=0))
    assert source.asked == [(0, True), (18_000, False)]
    batches = [c.batch for c in sent if isinstance(c, Packets)]
    assert next(int(t) // MS for b in batches for t in b.header[:, T_NS]) == 30_000


def test_a_resumed_stream_is_read_from_now_on_and_a_new_one_from_its_start() -> None:
    # file     0 ... 10 s, a word each second; the stream's time began at 0, it is now 4.2 s
    words = [word(i, 1000 * i) for i in range(10)]

    def first_words(*, anew: bool) -> list[int]:
        clock, sent = HandClock(4200 * MS), []
        source = ScriptedSource((Modality.TEXT,), [*words, ended(Modality.TEXT, 10_000)])
        reader = StreamReader("s", [source], AttuneSettings(), clock, lambda c: not sent.append(c))
        reader.run(Beginning(origin_ns=0), anew=anew)
        assert isinstance(sent[0], StreamOpened)
        assert sent[0].begin_ns == 4500 * MS
        batches = [c.batch for c in sent if isinstance(c, Packets)]
        return [int(t) // MS for b in batches for t in b.header[:, T_NS]][:2]

    assert first_words(anew=False) == [5000, 6000]
    assert first_words(anew=True) == [4500, 5500]


class Behind(ScriptedSource):
    """A live source whose words come three hops after they were said."""

    def __init__(self, clock: HandClock, *, ordered: bool) -> None:
        script = [
            word(0, 100),
            Progress(stream="s", modality=Modality.TEXT, t_ns=400 * MS),
            ended(Modality.TEXT, 1600),
        ]
        super().__init__((Modality.TEXT,), script, live=True, ordered=ordered)
        self._clock = clock

    def items(self) -> Iterator[Item]:
        for item in super().items():
            until_ns = self._clock.now_ns() + 1500 * MS
            while self._clock.now_ns() < until_ns:
                time.sleep(0)
            yield item


@pytest.mark.parametrize("ordered", [True, False])
def test_live_words_keep_their_time_where_the_source_promises_for_itself(ordered: bool) -> None:
    # said 0.1      came 1.5, cut up to there already
    clock = HandClock(1)
    batches = read(Behind(clock, ordered=ordered), clock=clock)[Modality.TEXT]
    (t_ns,) = [int(row[T_NS]) for b in batches for row in b.header]
    before_end = [b.progress_ns for b in batches if not b.ended]
    if ordered:
        assert t_ns >= 1500 * MS
        assert max(before_end) > 400 * MS
    else:
        assert t_ns == 100 * MS - 1  # the stream began at 1 ns
        assert max(before_end) == 400 * MS - 1


class HeldClock(HandClock):
    """A hand clock on which waiting waits."""

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        while self.now_ns() < t_ns:
            if stop is not None and stop.is_set():
                return False
            time.sleep(0)
        return True


def test_a_devices_promise_leaves_as_soon_as_it_reaches_beyond_a_hop() -> None:
    # promised  0.48  0.51  0.52  1.01      at 0 by the clock, so no cut is due
    # sent            *           *
    clock, sent = HeldClock(), list[tuple[int, int]]()
    video = Modality.VIDEO
    promises = [Progress(stream="s", modality=video, t_ns=t * MS) for t in (480, 510, 520, 1010)]
    source = ScriptedSource((video,), [*promises, ended(video, 1010)], live=True)

    def emit(cargo: Cargo) -> bool:
        if isinstance(cargo, Packets):
            sent.append((clock.now_ns(), cargo.batch.progress_ns // MS))
            if cargo.batch.progress_ns == 1010 * MS:
                clock.advance(5000 * MS)
        return True

    StreamReader("s", [source], AttuneSettings(), clock, emit).run()
    assert [progress for now_ns, progress in sent if not now_ns] == [510, 1010]


@pytest.mark.parametrize(("live", "begins_ms"), [(True, 12_300), (False, 12_345)])
def test_a_streams_time_begins_where_a_chunk_of_its_microphone_does(live, begins_ms) -> None:
    source = ScriptedSource((Modality.AUDIO,), [ended(Modality.AUDIO, 0)], live=live)
    sent: list[Cargo] = []
    clock = HandClock(12_345 * MS)
    StreamReader("s", [source], AttuneSettings(), clock, lambda c: not sent.append(c)).run()
    assert isinstance(sent[0], StreamOpened)
    assert sent[0].origin_ns == begins_ms * MS
