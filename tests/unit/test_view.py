"""The live view: pure, bounded, and within the terminal it is given."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from attune.view import LiveView
from streaming.health import Health, HealthKind
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.modality import Modality
from streaming.results import (
    EMOTIONS,
    Event,
    Heartbeat,
    ModalityReceipt,
    Phase,
    Result,
    Sentiment,
    Signals,
    Timing,
)
from streaming.states import ClosedBy, ViewState

S = 1_000_000_000


def result(k: int, stream: str = "cam", score: float | None = 0.42) -> Result:
    return Result(
        stream=stream,
        index=k,
        start_ns=k * S // 2,
        end_ns=k * S // 2 + 2 * S,
        closed_by=ClosedBy.WATERMARK,
        sentiment=None if score is None else Sentiment(score=score, low=-0.1, high=0.6),
        arousal=-0.2,
        emotions=dict(zip(EMOTIONS, [0.1, 0.61, 0.05, 0.09, 0.03, 0.02, 0.1], strict=True)),
        modalities={
            Modality.VIDEO: ModalityReceipt(
                state=ViewState.COMPLETE, coverage=1.0, packets=8, sentiment=0.5, contribution=0.3
            ),
            Modality.AUDIO: ModalityReceipt(state=ViewState.GAPPY, coverage=0.83, packets=4),
        },
        signals=Signals(faces=1, speech_share=0.62, loudness_dbfs=-23.4),
        model="test",
        timing=Timing(align_ms=3.0, queue_ms=1.0, model_ms=38.0, total_ms=52.0),
    )


def event(kind: str, phase: Phase, start_s: float, end_s: float | None = None) -> Event:
    return Event(
        stream="cam",
        id=f"{kind}-1",
        kind=kind,
        phase=phase,
        start_ns=int(start_s * S),
        end_ns=None if end_s is None else int(end_s * S),
        label=kind,
        score=0.8,
        evidence={},
    )


def printed(view: LiveView, width: int = 80, height: int = 24, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width, height=height, legacy_windows=False).print(view.render())
    file.flush()
    return raw.getvalue().decode(encoding)


def busy(streams: int = 1) -> LiveView:
    view = LiveView("tcp://127.0.0.1:7100")
    for n in range(streams):
        for k in range(100):
            view.feed(result(k, f"cam{n}" if n else "cam"))
    return view


def test_says_what_a_result_says():
    text = printed(busy())
    for part in ("cam", "+0.42", "slightly positive", "happiness", "61%", "gappy", "83%", "52 ms",
                 "face x1", "\u221223 dBFS", "not part of this stream", "no holes"):  # fmt: skip
        assert part in text, part
    best, second = text.index("happiness"), text.index("neutral")
    assert best < second


@pytest.mark.parametrize("streams", [0, 1, 2, 3, 40])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 50), (20, 3), (80, 1)])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_never_larger_than_the_terminal(streams, width, height, encoding):
    view = busy(streams) if streams else LiveView("tcp://127.0.0.1:7100")
    for k in range(200):
        view.feed(event("speech", Phase.START, k))
        view.feed(event("speech", Phase.END, k, k + 0.5))
    lines = printed(view, width, height, encoding).splitlines()
    assert 1 <= len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "results" in lines[-1] or width < 40


def test_a_panel_for_each_stream_as_long_as_they_fit_then_a_table():
    assert printed(busy(1)).count("mood") == 1
    assert printed(busy(2), 170, 24).count("mood") == 2  # side by side
    table = printed(busy(3))
    assert table.count("mood") == 1
    for name in ("cam ", "cam1", "cam2"):
        assert name in table


def test_open_events_stand_there_until_they_end():
    view = busy()
    view.feed(event("speech", Phase.START, 48.5))
    assert "speech 3.0 s" in printed(view)  # the last window ends at 51.5 s
    view.feed(event("speech", Phase.END, 48.5, 50.0))
    text = printed(view)
    assert "speech 3.0 s" not in text
    assert "speech ends after 1.50 s" in text


def test_holes_and_trouble_are_told_until_they_pass():
    view = busy()
    view.feed(Hole(stream="cam", epoch=1, first=3, last=7))
    view.feed(Health(stream="cam", kind=HealthKind.SILENT, t_ns=0, modality=Modality.AUDIO))
    panel = printed(view, height=13)  # no room for the log
    assert "5 missing" in panel
    assert "audio silent" in panel
    view.feed(Health(stream="cam", kind=HealthKind.RECOVERED, t_ns=0, modality=Modality.AUDIO))
    assert "audio silent" not in printed(view, height=13)


def test_a_restart_that_is_over_is_no_trouble():
    view = busy()
    view.feed(Health(stream="cam", kind=HealthKind.RESTARTED, t_ns=0, detail="align was lost"))
    assert "restarted" not in printed(view, height=13)  # no room for the log


def test_what_was_open_or_wrong_is_over_with_a_new_epoch():
    view = LiveView()
    view.feed(result(0))
    view.feed(event("speech", Phase.START, 0.5))
    view.feed(Health(stream="cam", kind=HealthKind.SOURCE_LOST, t_ns=S, modality=Modality.AUDIO))
    before = printed(view, height=13)  # no room for the log
    view.feed(NewEpoch(epoch=2, previous=1))
    after = printed(view, height=13)
    for words in ("speech 1.5 s", "audio source lost"):
        assert words in before
        assert words not in after


def test_the_end_of_a_stream_is_told():
    view = busy()
    assert "ended at" not in printed(view)
    view.feed(Health(stream="cam", kind=HealthKind.STREAM_ENDED, t_ns=51 * S))
    assert "ended at 0:00:51" in printed(view)
    view.feed(NewEpoch(epoch=2, previous=1))
    assert "ended at" not in printed(view)


def test_an_end_that_is_not_known_is_told_in_the_log_and_counted_nowhere():
    view = busy()
    view.feed(LostEnd(stream="cam", epoch=1, first=9))
    view.feed(LostEnd(stream="", epoch=1, first=1))
    text = printed(view)
    assert text.count("messages may be missing at its end") == 1
    assert "no holes" in text


def test_no_opinion_and_no_pacing_are_said_not_drawn_as_zero():
    view = LiveView()
    unpaced = result(0, score=None)
    view.feed(unpaced.__class__(**{f: getattr(unpaced, f) for f in unpaced.__struct_fields__
                                   if f != "timing"}))  # fmt: skip
    text = printed(view)
    assert "not enough to go by" in text
    assert "not paced" in text


def test_a_rendering_is_a_snapshot():
    view = busy()
    rendering = view.render()
    console = Console(file=io.StringIO(), width=80, height=24, record=True)
    view.feed(result(400, score=-0.9))
    console.print(rendering)
    assert "+0.42" in console.export_text()


def test_heartbeats_change_nothing():
    view = busy()
    before = printed(view)
    view.feed(Heartbeat(epoch=1, seq=1, last_seq={"cam": 100}, published_unix_ns=0))
    assert printed(view) == before
