"""Words made of real speech in a process of its own: in real time, and when that process dies."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from actors.inline import InlinePipeline
from actors.speech_process import SpeechProcess
from models.analyser import Analyser
from streaming.clock import NS_PER_MS
from streaming.health import Health, HealthKind
from streaming.packets import Modality
from streaming.results import Result, Status
from streaming.settings import (
    AttuneSettings,
    MediaSettings,
    PipelineSettings,
    SpeechSettings,
    StreamSettings,
    WindowSettings,
)
from streaming.sinks import MemorySink

TEXT = Modality.TEXT
SPEECH = SpeechSettings(engine="pocketsphinx")


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser.load()


def run(analyser: Analyser, clip: Path, pace: str) -> tuple[list[Result], list[Health]]:
    """Results and health of the clip, without a network socket."""
    settings = AttuneSettings(
        streams=(
            StreamSettings(
                sources=(MediaSettings(url=str(clip), video=False),), speech_to_text=SPEECH
            ),
        ),
        windows=WindowSettings(revise_ms=10_000),
        pipeline=PipelineSettings(runtime="inline", pace=pace),
    )
    sink = MemorySink(live=False)
    analyser.forget("main")
    InlinePipeline(settings, analyser, [sink]).run(threading.Event())
    said = sink.messages()
    return (
        [m for m in said if isinstance(m, Result)],
        [m for m in said if isinstance(m, Health)],
    )


def test_results_go_out_on_time_and_are_revised_when_the_words_are_there(analyser, media) -> None:
    # sound    ...... speech, about 0.7 to 2.2 s ......... 3.0
    # words                                       ^ 2.6, all of them
    # w0       [0 ................. 2.0)  shown at 2.05 without words; revised with them
    clip = media / "grid_lwbsza.mp4"
    fast, _ = run(analyser, clip, "fast")
    live, trouble = run(analyser, clip, "realtime")
    shown = [r for r in live if r.status is Status.PROVISIONAL]
    settled = [r for r in live if r.status is not Status.PROVISIONAL]
    assert shown[0].index == 0
    assert shown[0].signals.words == 0
    late_ms = [r.timing.total_ms for r in shown if r.timing.total_ms is not None]
    assert sorted(late_ms)[len(late_ms) // 2] < 600  # words take longer; the deadline is 1000
    assert settled[0].status is Status.REVISED
    assert settled[0].signals.words >= 2
    assert settled[0].modalities[TEXT].sentiment is not None
    assert [(r.index, r.signals.words) for r in settled] == [
        (r.index, r.signals.words) for r in fast
    ]
    assert [r.sentiment for r in settled] == [r.sentiment for r in fast]
    assert not [h for h in trouble if h.kind in (HealthKind.LATE, HealthKind.SOURCE_LOST)]


def test_a_process_that_is_killed_ends_the_words_and_nothing_else(
    analyser, media, monkeypatch
) -> None:
    asked = SpeechProcess.feed

    def feed(self: SpeechProcess, t_ns: int, *args, **more):
        if t_ns >= 1500 * NS_PER_MS:
            os.kill(self._process.pid, signal.SIGKILL)
        return asked(self, t_ns, *args, **more)

    monkeypatch.setattr(SpeechProcess, "feed", feed)
    results, trouble = run(analyser, media / "grid_lwbsza.mp4", "fast")
    (lost,) = [h for h in trouble if h.kind is HealthKind.SOURCE_LOST]
    assert (lost.modality, "its process ended" in lost.detail) == (TEXT, True)
    assert results[-1].end_ns >= 2900 * NS_PER_MS
    assert results[-1].modalities[Modality.AUDIO].coverage > 0
