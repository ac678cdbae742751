"""Inference batches over streams and keeps every stream's own order."""

from __future__ import annotations

import dataclasses
from itertools import groupby

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.infer import InferStage
from actors.messages import Cargo, Scored, StreamEnded, WindowReady
from models.types import Scores
from streaming.clock import HandClock
from streaming.results import LoudnessTrack, Signals
from streaming.windows import ClosedBy, Status

NO_OPINION = Scores(
    sentiment=None,
    sentiment_low=None,
    sentiment_high=None,
    arousal=None,
    emotions=None,
    contributions={},
    unimodal={},
    speech_start_ns=0,
    speech_step_ns=32_000_000,
    speech=np.zeros(0, np.float32),
)


class RecordingAnalyser:
    """Stands where the analyser stands and writes down how it was called."""

    revision = "none"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.forgotten: list[str] = []

    def step(self, windows):
        self.batches.append([w.stream for w in windows])
        return [NO_OPINION] * len(windows)

    def forget(self, stream: str) -> None:
        self.forgotten.append(stream)

    def fork(self, stream: str, to: str) -> None:
        self.batches.append([f"{stream} -> {to}"])


class Hears(RecordingAnalyser):
    """Hears speech in provisional windows only."""

    def step(self, windows):
        speech = [np.full(4, float("provisional" in w.stream), np.float32) for w in windows]
        return [dataclasses.replace(NO_OPINION, speech=frames) for frames in speech]


def window(stream: str, index: int) -> WindowReady:
    return WindowReady(
        stream=stream,
        index=index,
        start_ns=index,
        end_ns=index + 4,
        closed_by=ClosedBy.WATERMARK,
        revision=0,
        hops=(),
        receipts={},
        loudness=LoudnessTrack(),
        faces=(),
        signals=Signals(),
        health=(),
        closed_at_ns=0,
        origin_ns=0,
        paced=False,
    )


def name_and_place(cargo: Cargo) -> tuple[str, int]:
    if isinstance(cargo, Scored):
        return cargo.prediction.result.stream, cargo.prediction.result.index
    assert isinstance(cargo, WindowReady | StreamEnded)
    return cargo.stream, getattr(cargo, "index", -1)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.sets(st.sampled_from("abc")))
def test_order_within_a_stream_holds_and_no_batch_has_a_stream_twice(order, ended) -> None:
    counts = dict.fromkeys("abc", 0)
    cargoes: list[Cargo] = []
    for stream in order:
        cargoes.append(window(stream, counts[stream]))
        counts[stream] += 1
    cargoes += [StreamEnded(stream=s, end_ns=0) for s in sorted(ended)]
    analyser = RecordingAnalyser()
    out = InferStage(analyser, HandClock()).handle(cargoes)

    def by_stream(items):
        placed = sorted(map(name_and_place, items), key=lambda x: x[0])
        return {s: [i for _, i in g] for s, g in groupby(placed, key=lambda x: x[0])}

    assert by_stream(out) == by_stream(cargoes)
    assert all(len(set(batch)) == len(batch) for batch in analyser.batches)
    assert len(analyser.batches) == max(counts.values())  # as few as the order allows
    assert set(analyser.forgotten) == ended


def test_speech_in_a_provisional_window_is_not_remembered() -> None:
    stage = InferStage(Hears(), HandClock())
    shares = []
    for status in (Status.PROVISIONAL, Status.FINAL):
        (scored,) = stage.handle([msgspec.structs.replace(window("a", 0), status=status)])
        assert isinstance(scored, Scored)
        shares.append(scored.prediction.result.signals.speech_share)
    assert shares == [1.0, 0.0]
