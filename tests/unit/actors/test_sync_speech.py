"""Offset of mouth and voice through the aligner's stage: receipt, news, correction, replay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from speaker_scene import speaking
from test_sync import (
    AUDIO,
    OPENED,
    RATE_HZ,
    VIDEO,
    WINDOWS,
    Paper,
    aligned,
    batch,
    news,
    packet,
    session,
    windows,
)  # fmt: skip

from actors.messages import Cargo, Packets, decode
from actors.recording import RecordedAlign
from attune.record import Recorder
from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.errors import UsageError
from streaming.health import HealthKind
from streaming.packets import AudioChunk, FaceObservation, Trace
from streaming.settings import AttuneSettings, SyncSettings, VisionSettings

MS = NS_PER_MS


def conversation(late_ms: int, length_s: int = 24) -> list[Cargo]:
    """Half seconds of a speaker, each with what it adds to mouth and voice."""
    mouth, voice = speaking(length_s, late_s=late_ms / 1000)
    silence = np.zeros((RATE_HZ // 2, 1), np.float32)
    out: list[Cargo] = [OPENED]
    for i in range(2 * length_s):
        seen = FaceObservation(
            frame_width_px=320, frame_height_px=180, faces=(), mouth=_part(mouth, i)
        )
        heard = AudioChunk(samples=silence, sample_rate_hz=RATE_HZ, voice=_part(voice, i))
        out.append(batch(VIDEO, [packet(VIDEO, i, 500 * i, 500, seen)], i, length_s))
        out.append(batch(AUDIO, [packet(AUDIO, i, 500 * i, 500, heard)], i, length_s))
    return out


def _part(trace: Trace, hop: int) -> Trace:
    among = np.flatnonzero(trace.at_ns // (NS_PER_S // 2) == hop)
    return Trace(at_ns=trace.at_ns[among] - hop * NS_PER_S // 2, values=trace.values[among])


@pytest.mark.parametrize("late_ms", [-320, 0, 130])
def test_every_window_carries_the_offset_once_enough_was_seen_and_heard(late_ms):
    ready = windows(aligned(conversation(late_ms)))
    known = [w for w in ready if w.sync and w.sync.av_offset_ms is not None]
    assert ready[0].sync is None
    assert 4 * NS_PER_S < known[0].end_ns <= 6 * NS_PER_S
    receipt = known[-1].sync
    assert abs(receipt.av_offset_ms - late_ms) <= 10
    assert receipt.uncertainty_ms >= 40
    assert (receipt.measured_by, receipt.pairs, receipt.confidence) == ("speech", 0, 0.997)


def test_flashes_are_believed_before_a_speaker():
    # the flashes say 0 ms, the speaker 200 ms
    pairs = zip(session(0, 24)[1:], conversation(200)[1:], strict=True)
    both = [_with_traces(flash, speech) for flash, speech in pairs]
    told = [w.sync for w in windows(aligned([OPENED, *both])) if w.sync]
    assert {"flashes"} == {r.measured_by for r in told[-20:]}
    assert abs(told[-1].av_offset_ms) < 20


def _with_traces(flash: Cargo, speech: Cargo) -> Cargo:
    assert isinstance(flash, Packets) and isinstance(speech, Packets)
    first, *rest = flash.batch.payloads
    trace = speech.batch.payloads[0]
    joined = (
        msgspec.structs.replace(first, mouth=trace.mouth)
        if isinstance(first, FaceObservation)
        else msgspec.structs.replace(first, voice=trace.voice)
    )
    made = msgspec.structs.replace(flash.batch, payloads=(joined, *rest))
    return Packets(made, 0, OPENED)


def test_out_of_step_is_told_and_the_sound_is_moved():
    told = news(aligned(conversation(250)))
    assert [kind for kind, _ in told] == [HealthKind.DESYNCHRONISED]
    ready = aligned(conversation(250, 30), correct=True)
    moved = [HealthKind.DESYNCHRONISED, HealthKind.CLOCK_JUMP, HealthKind.RECOVERED]
    assert [kind for kind, _ in news(ready)] == moved
    last = windows(ready)[-1].sync
    assert abs(last.corrected_ms - 250) <= 10
    assert abs(last.av_offset_ms) <= 10


def test_a_recording_replays_the_same_offsets_and_the_same_moves():
    paper, cargoes = Paper(), conversation(250, 20)
    settings = SyncSettings(correct=True)
    stage = RecordedAlign(WINDOWS, HandClock(), paper, keep_media=True, sync=settings)
    first = [out for cargo in cargoes for out in stage.handle(cargo)]
    again = aligned([decode(data) for _, data in paper.entries], correct=True)
    assert [w.sync for w in windows(again)] == [w.sync for w in windows(first)]
    assert news(again) == news(first)
    assert any(w.sync and w.sync.corrected_ms for w in windows(first))


def test_mouths_and_voices_are_recorded_with_media_only(tmp_path: Path):
    settings = AttuneSettings(vision=VisionSettings(mouth_hz=30))
    path = tmp_path / "s.mcap"
    with pytest.raises(UsageError, match="only recorded with --keep-media"):
        Recorder(path, keep_media=False).begin(settings, "model")
    assert not path.exists()
