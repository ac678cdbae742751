"""Offset of sound and picture through the aligner's stage: receipt, news, correction, replay."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sync_scene import RATE_HZ, sound

from actors.align import AlignStage
from actors.messages import Cargo, Packets, StreamEnded, StreamOpened, WindowReady, decode, encode
from actors.recording import RecordedAlign, without_media
from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.health import HealthKind
from streaming.packets import (
    AudioChunk,
    FaceObservation,
    Mark,
    Modality,
    Packet,
    PacketBatch,
    Payload,
)
from streaming.settings import SyncSettings, WindowSettings
from streaming.sources.marking import MarkedSource
from streaming.sources.scripted import ScriptedSource

VIDEO, AUDIO = Modality.VIDEO, Modality.AUDIO
WINDOWS = WindowSettings(length_ms=1000, hop_ms=500)
OPENED = StreamOpened(stream="s", modalities=(VIDEO, AUDIO), origin_ns=0, paced=False)


def session(late_ms: int, length_s: int = 20) -> list[Cargo]:
    """A flash at each whole second, in pictures 40 ms apart, and a beep so much later."""
    beeps = [k + late_ms / 1000 for k in range(1, length_s)]
    heard = marked(sound(beeps, length_s), length_s)
    out: list[Cargo] = [OPENED]
    for i in range(2 * length_s):
        looks = [packet(VIDEO, 2 * i + k, (500 * i + 250 * k), 250, look(i, k)) for k in (0, 1)]
        out += [batch(VIDEO, looks, i, length_s), batch(AUDIO, [heard[i]], i, length_s)]
    return out


def marked(samples: np.ndarray, length_s: int) -> list[Packet]:
    """Half seconds of sound, as a source marks them."""
    parts = np.split(samples, 2 * length_s)
    chunks = [AudioChunk(samples=part, sample_rate_hz=RATE_HZ) for part in parts]
    script = [packet(AUDIO, i, 500 * i, 500, chunk) for i, chunk in enumerate(chunks)]
    return list(MarkedSource(ScriptedSource((AUDIO,), script)).items())


def look(hop: int, k: int) -> FaceObservation:
    """The second look of each first half second carries the flash of the second's beginning."""
    lit = hop % 2 == 0 and k == 1 and hop > 0
    marks = (Mark(from_ns=-270 * NS_PER_MS, to_ns=-230 * NS_PER_MS),) if lit else ()
    return FaceObservation(frame_width_px=320, frame_height_px=180, faces=(), flashes=marks)


def packet(modality: Modality, seq: int, t_ms: int, length_ms: int, payload: Payload) -> Packet:
    return Packet(
        stream="s",
        modality=modality,
        seq=seq,
        t_ns=t_ms * NS_PER_MS,
        duration_ns=length_ms * NS_PER_MS,
        payload=payload,
    )


def batch(modality: Modality, packets: list[Packet], hop: int, length_s: int) -> Packets:
    made = PacketBatch.of(
        "s",
        modality,
        packets,
        progress_ns=(hop + 1) * NS_PER_S // 2,
        ended=hop == 2 * length_s - 1,
    )
    return Packets(made, 0, OPENED)


def aligned(cargoes: list[Cargo], **settings: object) -> list[Cargo]:
    stage = AlignStage(WINDOWS, HandClock(), sync=SyncSettings(**settings))
    return [out for cargo in cargoes for out in stage.handle(cargo)]


def windows(ready: list[Cargo]) -> list[WindowReady]:
    return [r for r in ready if isinstance(r, WindowReady)]


def news(ready: list[Cargo]) -> list[tuple[HealthKind, str]]:
    kinds = (HealthKind.DESYNCHRONISED, HealthKind.RECOVERED, HealthKind.CLOCK_JUMP)
    return [(h.kind, h.detail) for w in windows(ready) for h in w.health if h.kind in kinds]


@pytest.mark.parametrize("late_ms", [-300, -80, 0, 130, 400])
def test_every_window_carries_the_offset_and_an_uncertainty_that_holds_it(late_ms):
    # flash   |   |   |   |         at 1, 2, 3, ... s, dated to 40 ms
    # beep      |   |   |   |       late_ms after it
    ready = windows(aligned(session(late_ms)))
    assert ready[0].sync is None  # no flash yet
    receipt = ready[-1].sync
    assert receipt is not None
    assert type(receipt.uncertainty_ms) is float
    assert abs(receipt.av_offset_ms - late_ms) <= receipt.uncertainty_ms <= 25
    assert receipt.confidence >= 0.99
    assert receipt.corrected_ms == 0
    known = [w.end_ns for w in ready if w.sync and w.sync.av_offset_ms is not None]
    assert known[0] <= 5 * NS_PER_S  # three pairs of flash and beep


def test_out_of_step_is_told_once_and_so_is_the_way_back():
    # 0..20 s: the sound is 200 ms late. 20..40 s: in step.
    again = [_later(c, 20) for c in session(0)[1:]]
    first = [_open_ended(c) for c in session(200)]
    told = news(aligned([*first, *again]))
    assert [kind for kind, _ in told] == [HealthKind.DESYNCHRONISED, HealthKind.RECOVERED]
    assert told[0][1] in {f"the sound is {n} ms late beside the picture" for n in range(195, 206)}


@pytest.mark.parametrize(("late_ms", "out"), [(140, False), (150, True), (-60, False), (-75, True)])
def test_the_limits_are_those_of_the_settings_and_must_be_passed_for_certain(late_ms, out):
    # limits: 45 ms early, 125 ms late; known to about 20 ms
    assert bool(news(aligned(session(late_ms)))) is out


@pytest.mark.parametrize("late_ms", [-200, 200])
def test_the_sound_is_moved_once_and_then_in_step(late_ms):
    ready = aligned(session(late_ms, 30), correct=True)
    kinds = [kind for kind, _ in news(ready)]
    moved = [HealthKind.DESYNCHRONISED, HealthKind.CLOCK_JUMP, HealthKind.RECOVERED]
    assert kinds == moved
    last = windows(ready)[-1]
    assert abs(last.sync.corrected_ms - late_ms) <= 25
    assert abs(last.sync.av_offset_ms) <= last.sync.uncertainty_ms
    assert last.receipts[AUDIO].offset_ns == -round(last.sync.corrected_ms * NS_PER_MS)
    ended = ready[-1]  # law 3: what the move has overtaken is counted
    assert isinstance(ended, StreamEnded)
    assert ended.pushed == ended.windowed + sum(ended.dropped.values()) == 30 * 6
    assert sum(ended.dropped.values()) <= 1


def test_in_real_time_the_sound_is_not_moved_behind_the_deadline_of_its_windows():
    # deadline 300 ms: sound may be moved back by 150 ms
    #   late    140 ms   180 ms   -180 ms (moved forward: it comes in good time)
    #   moved   yes      no       yes
    windows_ = msgspec.structs.replace(WINDOWS, deadline_ms=300)
    paced = msgspec.structs.replace(OPENED, paced=True)
    for late_ms, moved in ((140, True), (180, False), (-180, True)):
        stage = AlignStage(windows_, HandClock(), sync=SyncSettings(correct=True))
        cargoes = [paced, *session(late_ms)[1:]]
        told = dict(news([out for cargo in cargoes for out in stage.handle(cargo)]))
        assert (HealthKind.CLOCK_JUMP in told) is moved
        hint = "windows.deadline_ms would have to be twice that" in told.get(
            HealthKind.DESYNCHRONISED, ""
        )
        assert hint is not moved


def test_an_offset_within_its_uncertainty_is_left_alone():
    ready = aligned(session(15), correct=True)
    assert news(ready) == []
    assert windows(ready)[-1].sync.corrected_ms == 0


class Paper:
    """What a recording was given."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []

    def admit(self, topic: str, data: bytes, now_ns: int) -> None:
        self.entries.append((topic, data))


@pytest.mark.parametrize("keep_media", [True, False])
def test_a_recording_replays_the_same_offsets_and_the_same_moves(keep_media):
    paper, cargoes = Paper(), session(200)
    settings = SyncSettings(correct=True)
    stage = RecordedAlign(WINDOWS, HandClock(), paper, keep_media=keep_media, sync=settings)
    first = [out for cargo in cargoes for out in stage.handle(cargo)]
    again = aligned([decode(data) for _, data in paper.entries], correct=True)
    assert [w.sync for w in windows(again)] == [w.sync for w in windows(first)]
    assert news(again) == news(first)
    assert [kind for kind, _ in news(first)].count(HealthKind.CLOCK_JUMP) == 1
    spans = [[(w.start_ns, w.receipts[AUDIO].packets) for w in windows(r)] for r in (again, first)]
    assert spans[0] == spans[1]


def test_a_recording_without_media_keeps_marks_and_nothing_that_is_seen_or_heard():
    for cargo in session(0, 4)[1:]:
        kept = decode(encode(without_media(cargo)))
        for before, after in zip(cargo.batch.payloads, kept.batch.payloads, strict=True):
            if isinstance(after, AudioChunk):
                assert (after.onsets, after.samples.size) == (before.onsets, 0)
            else:
                assert (after.flashes, after.faces) == (before.flashes, ())


def _later(cargo: Packets, by_s: int) -> Packets:
    header = np.add(cargo.batch.header, [1000, by_s * NS_PER_S, 0, 0, 0])
    progress_ns = cargo.batch.progress_ns + by_s * NS_PER_S
    moved = msgspec.structs.replace(cargo.batch, header=header, progress_ns=progress_ns)
    return Packets(moved, 0, OPENED)


def _open_ended(cargo: Cargo) -> Cargo:
    if not isinstance(cargo, Packets):
        return cargo
    return Packets(msgspec.structs.replace(cargo.batch, ended=False), 0, OPENED)
