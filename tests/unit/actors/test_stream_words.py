"""Words made of sound: no window waits for them, and none of them is lost in silence."""

from __future__ import annotations

import numpy as np
import pytest

from actors.align import AlignStage
from actors.ingest import Ingest
from actors.messages import Assigned, Cargo, Packets, StreamOpened, WindowReady
from actors.speech import SpeechLane
from actors.speech_open import open_speech
from actors.stream_reader import StreamReader
from streaming.clock import NS_PER_MS, HandClock
from streaming.errors import UsageError
from streaming.health import Health, HealthKind
from streaming.packets import AudioChunk, Modality, Packet, Progress, TextMessage
from streaming.results import Status
from streaming.settings import (
    AttuneSettings,
    PipelineSettings,
    SpeechSettings,
    StreamSettings,
    WindowSettings,
)
from streaming.source_settings import SyntheticSettings
from streaming.sources.base import Item
from streaming.sources.scripted import ScriptedSource
from streaming.states import ViewState
from tests.speech_script import SlowRecogniser, kept

MS = NS_PER_MS
AUDIO, TEXT = Modality.AUDIO, Modality.TEXT
WINDOWS = WindowSettings(length_ms=1000, hop_ms=500, deadline_ms=1000, revise_ms=4000)


def sound(seq: int) -> Packet:
    """Half a second, the `seq`-th."""
    return Packet(
        stream="s",
        modality=AUDIO,
        seq=seq,
        t_ns=seq * 500 * MS,
        duration_ns=500 * MS,
        payload=AudioChunk(samples=np.zeros((8000, 1), np.float32), sample_rate_hz=16_000),
    )


class Lane:
    """A lane whose items are kept, `waiting` chunks long."""

    def __init__(
        self, recogniser: SlowRecogniser, waiting: int, oldest_ms: int = 0, language: str = ""
    ) -> None:
        self.items: list[Item] = []
        self.lane = SpeechLane(
            "s", kept(recogniser, language), self.items.extend, lambda: oldest_ms * MS,
            waiting=waiting,
        )  # fmt: skip

    def of(self, kind: type) -> list:
        return [item for item in self.items if isinstance(item, kind)]


def test_a_recogniser_that_hangs_never_blocks_and_what_it_misses_is_counted() -> None:
    # chunk     0 1 2 3 4 5 6 7 8 9      the recogniser holds 0; three wait
    recogniser = SlowRecogniser()
    lane = Lane(recogniser, waiting=3)
    for seq in range(10):
        lane.lane.hear(sound(seq))
    missed = lane.lane.missed(5)
    assert missed is not None
    assert missed.kind is HealthKind.DROP
    recogniser.release.set()
    lane.lane.finish(5)
    assert missed.count + len(recogniser.fed) == 10
    assert [t // MS for t, _ in recogniser.fed[-3:]] == [3500, 4000, 4500]
    assert lane.lane.missed(6) is None
    assert any(recogniser.hurried)
    assert recogniser.closed
    assert lane.items[-1] == Progress(stream="s", modality=TEXT, t_ns=5000 * MS, ended=True)


def test_words_leave_in_the_order_of_their_promise_with_their_own_times() -> None:
    recogniser = SlowRecogniser()
    recogniser.release.set()
    lane = Lane(recogniser, waiting=0)
    for item in (sound(0), sound(1), Progress(stream="s", modality=AUDIO, t_ns=0, ended=True)):
        lane.lane.hear(item)
    first, second = lane.of(Packet)
    assert (first.seq, first.t_ns, first.duration_ns) == (0, 0, 500 * MS)
    assert isinstance(second.payload, TextMessage)
    assert [(w.text, w.start_ns // MS) for w in second.payload.words] == [("word2", 500)]
    promised = 0
    for item in lane.items:
        assert item.t_ns >= promised
        if isinstance(item, Progress):
            promised = item.t_ns


def test_words_are_of_the_language_that_the_recogniser_was_asked_for() -> None:
    recogniser = SlowRecogniser()
    recogniser.release.set()
    lane = Lane(recogniser, waiting=0, language="de")
    lane.lane.hear(sound(0))
    (packet,) = lane.of(Packet)
    assert packet.payload.language == "de"
    speech = SpeechSettings(engine="faster-whisper", language="de")
    stream = StreamSettings(name="s", sources=(SyntheticSettings(),), speech_to_text=speech)
    settings = AttuneSettings(pipeline=PipelineSettings(pace="fast"))
    hears = ScriptedSource((AUDIO,), [sound(0)])
    opened = open_speech(stream, settings, [hears], lambda _: SlowRecogniser(), HandClock())
    assert opened is not None
    assert opened.language == "de"


def test_words_that_no_window_can_show_any_more_are_dated_later_and_told() -> None:
    recogniser = SlowRecogniser()
    recogniser.release.set()
    lane = Lane(recogniser, waiting=0, oldest_ms=300)
    lane.lane.hear(sound(0))
    (late,) = lane.of(Health)
    (packet,) = lane.of(Packet)
    assert (late.kind, late.count) == (HealthKind.LATE, 1)
    assert (packet.t_ns, packet.end_ns) == (300 * MS, 500 * MS)
    assert packet.payload.words[0].start_ns == 0  # the word itself keeps its time


@pytest.mark.parametrize("waiting", [0, 8])
def test_a_recogniser_that_breaks_ends_the_words_alone(waiting: int) -> None:
    recogniser = SlowRecogniser(fail_at=1)
    recogniser.release.set()
    lane = Lane(recogniser, waiting)
    for seq in range(4):
        lane.lane.hear(sound(seq))
    lane.lane.finish(5)
    (lost,) = lane.of(Health)
    assert (lost.kind, lost.detail) == (
        HealthKind.SOURCE_LOST,
        "speech to text: the engine broke",
    )
    assert lane.items[-1] == Progress(stream="s", modality=TEXT, t_ns=500 * MS, ended=True)
    assert recogniser.closed


def test_last_words_that_do_not_come_are_given_up() -> None:
    recogniser = SlowRecogniser()
    lane = Lane(recogniser, waiting=8)
    for seq in range(3):
        lane.lane.hear(sound(seq))
    lane.lane.finish(0.0)
    (given_up,) = lane.of(Health)
    assert (given_up.kind, given_up.count) in {(HealthKind.DROP, 3), (HealthKind.DROP, 4)}
    assert lane.items[-1] == Progress(stream="s", modality=TEXT, t_ns=0, ended=True)


class Bench:
    """Alignment by hand, of sound that comes on time and words that a recogniser makes of it."""

    def __init__(self, windows: WindowSettings) -> None:
        self.clock = HandClock()
        self.align = AlignStage(windows, self.clock)
        opened = StreamOpened(
            stream="s", modalities=(AUDIO, TEXT), origin_ns=0, paced=True, derived=(TEXT,)
        )
        self.align.handle(opened)

    def at(self, now_ms: int, *batches: Packets) -> list[WindowReady]:
        self.clock.advance(now_ms * MS - self.clock.now_ns())
        out = [ready for batch in batches for ready in self.align.handle(batch)]
        return [w for w in [*out, *self.align.tick()] if isinstance(w, WindowReady)]


def read(recogniser: SlowRecogniser, *, release_after: int | None, pace: str = "realtime"):
    """All that a reader hands on of six chunks of sound; the recogniser is let go once
    `release_after` hand-overs have left."""
    sent: list[Cargo] = []

    def emit(cargo: Cargo) -> bool:
        sent.append(cargo)
        if len(sent) == release_after:
            recogniser.release.set()
        return True

    script = [sound(i) for i in range(6)]
    end = Progress(stream="s", modality=AUDIO, t_ns=3000 * MS, ended=True)
    settings = AttuneSettings(windows=WINDOWS, pipeline=PipelineSettings(pace=pace))
    source = ScriptedSource((AUDIO,), [*script, end])
    if release_after is None:
        recogniser.release.set()
    StreamReader("s", [source], settings, HandClock(), emit, recogniser=kept(recogniser)).run()
    return sent


def batches(sent: list[Cargo], modality: Modality) -> list[Packets]:
    return [c for c in sent if isinstance(c, Packets) and c.batch.modality is modality]


def test_no_window_waits_for_words_and_each_is_revised_when_they_come() -> None:
    #        0    500   1000  1500  2000  2500  3000 ms
    # sound  [----)[----)[----)[----)[----)[----)      each half second on time
    # words                                     4000: all at once, of 0 to 3000
    # w0     [          ) p 1050                r
    # w1           [          ) p 1550          r      (deadline: one second later each)
    sent = read(SlowRecogniser(), release_after=8)
    opened = sent[0]
    assert isinstance(opened, StreamOpened)
    assert opened.derived == (TEXT,)
    bench, shown = Bench(WINDOWS), []
    for number, batch in enumerate(batches(sent, AUDIO)):
        now_ms = 500 * (number + 1)
        shown += [(w.index, w.status, now_ms) for w in bench.at(now_ms, batch)]
        shown += [(w.index, w.status, now_ms + 50) for w in bench.at(now_ms + 50)]
    assert [s for s in shown if s[1] is not Status.PROVISIONAL] == []
    assert [(index, at_ms) for index, _, at_ms in shown[:4]] == [
        (0, 1050),
        (1, 1550),
        (2, 2050),
        (3, 2550),
    ]
    settled = bench.at(4000, *batches(sent, TEXT))
    assert [(w.index, w.status, w.revision) for w in settled][:5] == [
        (i, Status.REVISED, 1) for i in range(5)
    ]
    assert [w.signals.words for w in settled][:5] == [2, 2, 2, 2, 2]
    assert {w.receipts[TEXT].state for w in settled} == {ViewState.COMPLETE}
    assert not [h for w in settled for h in w.health]


def test_before_the_words_come_they_are_missing_not_none() -> None:
    bench = Bench(WINDOWS)
    audio = batches(read(SlowRecogniser(), release_after=8), AUDIO)
    bench.at(500, audio[0])
    bench.at(1000, audio[1])
    (shown,) = bench.at(1050)
    assert shown.receipts[TEXT].state is ViewState.ABSENT
    assert shown.receipts[AUDIO].state is ViewState.COMPLETE


def test_words_that_keep_up_are_in_the_first_and_only_showing() -> None:
    # words of a hop come 30 ms after it: the window is final at once, nothing provisional
    sent = read(SlowRecogniser(), release_after=None)
    bench, out = Bench(WINDOWS), []
    text = [b for b in batches(sent, TEXT) if len(b.batch.payloads)]
    for number, (audio, words) in enumerate(zip(batches(sent, AUDIO), text, strict=True)):
        out += bench.at(500 * (number + 1), audio)
        out += bench.at(500 * (number + 1) + 30, words)
    assert {w.status for w in out} == {Status.FINAL}
    assert [w.signals.words for w in out] == [2] * len(out)


@pytest.mark.parametrize("pace", ["realtime", "fast"])
def test_all_that_was_said_leaves_and_the_text_ends_last(pace: str) -> None:
    recogniser = SlowRecogniser()
    sent = read(recogniser, release_after=None, pace=pace)
    text = batches(sent, TEXT)
    said = [p.text for c in text for p in c.batch.payloads if isinstance(p, TextMessage)]
    assert said == [f"word{i}" for i in range(1, 7)]
    assert text[-1].batch.ended
    assert [c.batch.ended for c in text].count(True) == 1
    promises = [c.batch.progress_ns for c in text]
    assert promises == sorted(promises)
    assert promises[-1] == 3000 * MS
    assert recogniser.closed


def opened(stream: StreamSettings, **more) -> list[SlowRecogniser]:
    """Recognisers that are opened for `stream`."""
    made: list[SlowRecogniser] = []

    def open_one(settings: SpeechSettings) -> SlowRecogniser:
        made.append(SlowRecogniser())
        return made[-1]

    settings = AttuneSettings(streams=(stream,), **more)
    ingest = Ingest((), settings, HandClock(), lambda cargo: True, open_one)
    ingest.open(Assigned(stream=stream))
    ingest.close()
    return made


def test_a_stream_needs_sound_no_other_words_and_time_to_revise(tmp_path) -> None:
    speech = SpeechSettings(engine="pocketsphinx")
    (tmp_path / "a.jsonl").write_text('{"t": 0.5, "text": "two"}\n')
    from streaming.source_settings import TextSettings

    words = TextSettings(path=str(tmp_path / "a.jsonl"))
    with pytest.raises(UsageError, match=r"'s'.*expects sound.*none of its sources"):
        opened(StreamSettings(name="s", sources=(words,), speech_to_text=speech), windows=WINDOWS)
    scene = SyntheticSettings(duration_s=1)  # it has words of its own
    with pytest.raises(UsageError, match="text comes from a source and from speech_to_text"):
        opened(StreamSettings(name="s", sources=(scene,), speech_to_text=speech), windows=WINDOWS)


def test_live_words_need_windows_that_can_be_revised(tmp_path) -> None:
    from media_factory import write_clip

    from streaming.source_settings import MediaSettings

    clip = MediaSettings(url=str(write_clip(tmp_path / "clip.mp4", seconds=1)))
    stream = StreamSettings(
        name="s", sources=(clip,), speech_to_text=SpeechSettings(engine="pocketsphinx")
    )
    with pytest.raises(UsageError, match=r"windows\.revise_ms=10000"):
        opened(stream)
    (recogniser,) = opened(stream, windows=WINDOWS)
    assert recogniser.closed
    assert len(opened(stream, pipeline=PipelineSettings(pace="fast"))) == 1
