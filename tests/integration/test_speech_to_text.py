"""Words made of real speech in a process of its own: in real time, and when that process dies."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from actors.inline import InlinePipeline
from actors.report import Report
from actors.speech_process import SpeechProcess
from models.analyser import Analyser
from streaming.clock import NS_PER_MS
from streaming.health import Health, HealthKind
from streaming.packets import Modality
from streaming.results import Result, Status
from streaming.settings import (
    AttuneSettings,
    PipelineSettings,
    SpeechSettings,
    StreamSettings,
    WindowSettings,
)
from streaming.sinks import MemorySink
from streaming.source_settings import MediaSettings

TEXT = Modality.TEXT
SPEECH = SpeechSettings(engine="pocketsphinx")


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser.load()


def run(
    analyser: Analyser, clip: Path, pace: str, restarts: int = 5
) -> tuple[list[Result], list[Health]]:
    """Results and health of the clip, without a network socket."""
    sink = MemorySink(live=False)
    reported(analyser, clip, pace, restarts, sink)
    said = sink.messages()
    return (
        [m for m in said if isinstance(m, Result)],
        [m for m in said if isinstance(m, Health)],
    )


def reported(
    analyser: Analyser, clip: Path, pace: str = "fast", restarts: int = 5, *sinks: MemorySink
) -> Report:
    settings = AttuneSettings(
        streams=(
            StreamSettings(
                sources=(MediaSettings(url=str(clip), video=False),), speech_to_text=SPEECH
            ),
        ),
        windows=WindowSettings(revise_ms=10_000),
        pipeline=PipelineSettings(runtime="inline", pace=pace, restarts=restarts, max_age_ms=0),
    )
    analyser.forget("main")
    return InlinePipeline(settings, analyser, [*sinks]).run(threading.Event())


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


@pytest.mark.parametrize("restarts", [5, 0])
def test_a_process_that_is_killed_is_started_again_or_ends_the_words_alone(
    analyser, media, monkeypatch, restarts
) -> None:
    # sound    ...... speech, about 0.7 to 2.2 s ......... 3.0
    #                          ^ 1.5: killed; another one hears the speech again from its beginning
    clip = media / "grid_lwbsza.mp4"
    undisturbed, _ = run(analyser, clip, "fast")
    asked, killed = SpeechProcess.feed, list[int]()

    def feed(self: SpeechProcess, t_ns: int, *args, **more):
        if t_ns >= 1500 * NS_PER_MS and not killed:
            killed.append(self._process.pid)
            os.kill(self._process.pid, signal.SIGKILL)
        return asked(self, t_ns, *args, **more)

    monkeypatch.setattr(SpeechProcess, "feed", feed)
    results, trouble = run(analyser, clip, "fast", restarts)
    lost, *back = [h for h in trouble if h.kind in (HealthKind.SOURCE_LOST, HealthKind.RECOVERED)]
    assert (lost.kind, lost.modality) == (HealthKind.SOURCE_LOST, TEXT)
    assert "its process ended (exit code -9)" in lost.detail
    assert [h.kind for h in back] == ([HealthKind.RECOVERED] if restarts else [])
    assert results[-1].end_ns >= 2900 * NS_PER_MS
    assert results[-1].modalities[Modality.AUDIO].coverage > 0
    words = [r.signals.words for r in results]
    assert sum(r.signals.words for r in undisturbed) >= 2
    assert words == ([r.signals.words for r in undisturbed] if restarts else [0] * len(words))


def test_the_cost_of_words_is_told_apart(analyser, media) -> None:
    report = reported(analyser, media / "grid_lwbsza.mp4")
    assert set(report.cpu_s) == {"inline", "speech to text"}
    assert report.cpu_s["speech to text"] > 0.2  # loading the engine alone takes longer
