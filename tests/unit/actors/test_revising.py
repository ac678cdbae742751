"""Words that come late: shown without them at the deadline, revised when they are there."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from actors.align import AlignStage
from actors.infer import InferStage
from actors.messages import Cargo, Packets, StreamOpened
from actors.publish import PublishStage
from models.analyser import Analyser
from streaming.clock import NS_PER_MS, HandClock
from streaming.health import Health, HealthKind
from streaming.packets import AudioChunk, Modality, Packet, PacketBatch, TextMessage
from streaming.results import Result, Status
from streaming.settings import AttuneSettings, WindowSettings
from streaming.sinks import MemorySink
from streaming.states import ViewState

AUDIO, TEXT = Modality.AUDIO, Modality.TEXT
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser.load()


class Bench:
    """Alignment, inference and publication by hand."""

    def __init__(self, analyser: Analyser, revise_ms: float) -> None:
        windows = WindowSettings(
            length_ms=1000, hop_ms=500, deadline_ms=200, revise_ms=revise_ms, lateness_ms=0
        )
        self.clock = HandClock()
        self.sink = MemorySink(live=False)
        settings = AttuneSettings(windows=windows)
        analyser.forget("s")
        self.align = AlignStage(windows, self.clock)
        self.infer = InferStage(analyser, self.clock)
        self.publish = PublishStage(settings, [self.sink], self.clock)
        opened = StreamOpened(stream="s", modalities=(AUDIO, TEXT), origin_ns=0, paced=True)
        self.align.handle(opened)

    def at(self, now_ms: int, *batches: PacketBatch) -> list[Result]:
        """What is said once the clock stands at `now_ms` and `batches` have come."""
        self.clock.advance(now_ms * NS_PER_MS - self.clock.now_ns())
        before = len(self.sink.sent)
        ready: list[Cargo] = [out for b in batches for out in self.align.handle(Packets(b))]
        for cargo in self.infer.handle(ready + self.align.tick()):
            self.publish.handle(cargo)
        said = self.sink.messages()[before:]
        return [m for m in said if isinstance(m, Result)]

    def health(self) -> list[HealthKind]:
        return [m.kind for m in self.sink.messages() if isinstance(m, Health)]


def sound(from_ms: int, to_ms: int, **more: Any) -> PacketBatch:
    rng = np.random.default_rng(from_ms)
    samples = rng.normal(0, 0.1, ((to_ms - from_ms) * RATE_HZ // 1000, 1)).astype(np.float32)
    packet = Packet(
        stream="s",
        modality=AUDIO,
        seq=from_ms,
        t_ns=from_ms * NS_PER_MS,
        duration_ns=(to_ms - from_ms) * NS_PER_MS,
        payload=AudioChunk(samples=samples, sample_rate_hz=RATE_HZ),
    )
    return PacketBatch.of("s", AUDIO, [packet], progress_ns=to_ms * NS_PER_MS, **more)


def words(at_ms: int, text: str, progress_ms: int, **more: Any) -> PacketBatch:
    packet = Packet(
        stream="s",
        modality=TEXT,
        seq=at_ms,
        t_ns=at_ms * NS_PER_MS,
        duration_ns=400 * NS_PER_MS,
        payload=TextMessage(text=text),
    )
    return PacketBatch.of("s", TEXT, [packet], progress_ns=progress_ms * NS_PER_MS, **more)


def plain(result: Result) -> Any:
    """What a result says, whichever way it came to be said."""
    tree = msgspec.to_builtins(result)
    for name in ("seq", "epoch", "timing", "status", "revision", "closed_by"):
        tree.pop(name)
    return tree


GLAD = "This is wonderful, I love it so much!"


def test_late_words_revise_what_was_shown(analyser: Analyser) -> None:
    # length 1000, hop 500, deadline 200, revise 2000
    #        0        500       1000      1500  1900
    # audio  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    # text       300: glad                      | comes at 1900, promised 1600
    # w0     [                   )  shown at 1200, revised at 1900
    # w1               [                    )  shown at 1700, revised at 1900
    bench = Bench(analyser, revise_ms=2000)
    assert bench.at(1000, sound(0, 500), sound(500, 1000)) == []
    (early,) = bench.at(1200, sound(1000, 1200))
    assert early.status is Status.PROVISIONAL and early.closed_by == "deadline"
    assert early.modalities[TEXT].state is ViewState.ABSENT
    (second,) = bench.at(1700, sound(1200, 1700))
    assert (second.index, second.status) == (1, Status.PROVISIONAL)
    revised, final = bench.at(1900, words(300, GLAD, 1600))
    assert (revised.index, revised.status, revised.revision) == (0, Status.REVISED, 1)
    assert (final.index, final.status) == (1, Status.REVISED)
    assert revised.modalities[TEXT].packets == 1 and revised.closed_by == "watermark"
    assert revised.sentiment is not None and revised.sentiment.score > 0.2
    assert bench.health() == []  # nothing was late: it came within the bound


def test_what_was_shown_leaves_no_trace_in_what_is_settled(analyser: Analyser) -> None:
    late = Bench(analyser, revise_ms=2000)
    late.at(1200, sound(0, 500), sound(500, 1000), sound(1000, 1200))
    late.at(1750, sound(1200, 1700))
    settled = late.at(1900, words(300, GLAD, 1600), sound(1700, 2000))
    prompt = Bench(analyser, revise_ms=0)
    said = prompt.at(
        1100,
        *(words(300, GLAD, 1600), sound(0, 500), sound(500, 1000), sound(1000, 1200)),
    )
    said += prompt.at(1600, sound(1200, 1700))
    assert [plain(r) for r in settled] == [plain(r) for r in said]


def test_what_is_shown_remembers_what_was_settled(analyser: Analyser) -> None:
    #        0        500       1000      1500
    # text       300-700: glad  | promised 1000, then nothing
    # w0     [                   )  final at 1100, with the words
    # w1               [                   )  shown at 1700: the words reach into it
    bench = Bench(analyser, revise_ms=2000)
    bench.at(1000, sound(0, 500), words(300, GLAD, 1000))
    (final,) = bench.at(1100, sound(500, 1100))
    (shown,) = bench.at(1700, sound(1100, 1700))
    assert (final.status, shown.status) == (Status.FINAL, Status.PROVISIONAL)
    assert shown.modalities[TEXT].sentiment == final.modalities[TEXT].sentiment is not None


def test_words_beyond_the_bound_are_counted_and_the_window_is_final(analyser: Analyser) -> None:
    # deadline 200, revise 300: w0 is shown at 1200 and settled without words at 1500
    bench = Bench(analyser, revise_ms=300)
    bench.at(1000, sound(0, 500), sound(500, 1000))
    (early,) = bench.at(1200, sound(1000, 1200))
    (settled,) = bench.at(1500)
    assert (settled.index, settled.status, settled.revision) == (0, Status.FINAL, 0)
    assert plain(early) == plain(settled)
    bench.at(1600, words(300, GLAD, 400), sound(1200, 1600))
    bench.at(2200)
    assert bench.health() == [HealthKind.LATE]


def test_without_a_bound_the_deadline_is_final(analyser: Analyser) -> None:
    bench = Bench(analyser, revise_ms=0)
    (only,) = bench.at(1200, sound(0, 500), sound(500, 1000), sound(1000, 1200))
    assert only.status is Status.FINAL
    assert [r.index for r in bench.at(1900, words(300, GLAD, 1600), sound(1200, 1700))] == [1]
    assert HealthKind.LATE in bench.health()
