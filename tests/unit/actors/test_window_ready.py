"""Windows become model input: what is new, on the right samples and instants, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from actors.translate import window_input
from actors.window_ready import SILENCE_DBFS, grey_face, level_dbfs, window_ready
from streaming.aligner import Aligner
from streaming.clock import NS_PER_MS
from streaming.packets import (
    AudioChunk,
    FaceCrop,
    FaceObservation,
    Modality,
    Packet,
    PacketBatch,
    TextMessage,
    Word,
)
from streaming.settings import WindowSettings
from streaming.windows import Window

HOP_NS = 500 * NS_PER_MS
RATE = 16_000


def windows(*batches: PacketBatch) -> list[Window]:
    spec = WindowSettings().spec(tuple(b.modality for b in batches), paced=False)
    aligner = Aligner("s", spec)
    for batch in batches:
        aligner.push(batch)
    return aligner.poll(None)


def sound(*chunks: tuple[int, np.ndarray], end_ms: int) -> PacketBatch:
    packets = [
        Packet(
            stream="s",
            modality=Modality.AUDIO,
            seq=i,
            t_ns=t_ms * NS_PER_MS,
            duration_ns=len(samples) * 1_000_000_000 // RATE,
            payload=AudioChunk(samples=samples[:, None].astype(np.float32), sample_rate_hz=RATE),
        )
        for i, (t_ms, samples) in enumerate(chunks)
    ]
    end_ns = end_ms * NS_PER_MS
    return PacketBatch.of("s", Modality.AUDIO, packets, progress_ns=end_ns, ended=True)


def ready(window: Window):
    return window_ready(window, HOP_NS, closed_at_ns=0, origin_ns=0, paced=False)


def test_the_first_window_brings_all_its_hops_and_each_later_one_only_its_own() -> None:
    # sound   0 ------------------------------ 3.0 s       hops of 0.5 s, windows of 2 s
    # w0      0123|                  new: 4 hops
    # w1       123 4|                new: 1 hop
    # w2        23 45|               new: 1 hop
    ramp = np.arange(3 * RATE) / (3 * RATE)
    all_ready = [ready(w) for w in windows(sound((0, ramp), end_ms=3000))]
    assert [len(r.hops) for r in all_ready] == [4, 1, 1]

    heard = np.concatenate([hop.audio for r in all_ready for hop in r.hops])
    assert np.array_equal(heard, ramp.astype(np.float32))
    assert [hop.start_ns for r in all_ready for hop in r.hops] == [i * HOP_NS for i in range(6)]


def test_a_gap_is_zeros_and_is_told_apart_from_silence() -> None:
    # sound   1111 1111 .... ....   0 to 1 s, then nothing until the stream ends at 2 s
    (only,) = windows(sound((0, np.ones(RATE) / 2), (1990, np.zeros(RATE // 100)), end_ms=2000))
    first = ready(only)
    assert [round(hop.audio_coverage, 2) for hop in first.hops] == [1.0, 1.0, 0.0, 0.02]
    assert first.hops[2].audio.any() == np.False_
    assert first.loudness.dbfs[0] == pytest.approx(-6.02, abs=0.01)
    assert first.loudness.dbfs[25] is None


def test_levels_and_shares_have_four_decimals() -> None:
    # sound   a third of full scale for a third of the window
    (only,) = windows(sound((0, np.ones(2 * RATE // 3) / 3), end_ms=2000))
    found = ready(only)
    assert found.loudness.dbfs[0] == -9.5424
    assert found.receipts[Modality.AUDIO].coverage == 0.3333


def test_the_windows_of_a_long_gap_hold_next_to_nothing() -> None:
    # sound   1 .......................... 1      a machine that slept for ten minutes
    one = np.ones(RATE // 2)
    slept = [ready(w) for w in windows(sound((0, one), (600_000, one), end_ms=600_500))]
    held = {
        id(hop.audio.base if hop.audio.base is not None else hop.audio): hop.audio.nbytes
        for r in slept
        for hop in r.hops
    }
    assert len(slept) == 1198
    assert sum(held.values()) <= 4 * one.astype(np.float32).nbytes


def test_text_is_new_once_and_counts_for_as_long_as_it_holds() -> None:
    # text        "hello there" 0.6 s to 2.3 s
    # w0  0.0-2.0  new, in hop 1
    # w1  0.5-2.5  still there, not new
    message = Packet(
        stream="s",
        modality=Modality.TEXT,
        seq=0,
        t_ns=600 * NS_PER_MS,
        duration_ns=1700 * NS_PER_MS,
        payload=TextMessage(text="hello there", language="en-GB"),
    )
    batch = PacketBatch.of("s", Modality.TEXT, [message], progress_ns=2500 * NS_PER_MS, ended=True)
    first, second = (
        ready(w) for w in windows(batch, sound((0, np.zeros(5 * RATE // 2)), end_ms=2500))
    )
    assert [len(hop.texts) for hop in first.hops] == [0, 1, 0, 0]
    assert [len(hop.texts) for hop in second.hops] == [0]
    assert (first.signals.words, second.signals.words) == (2, 2)
    ((told,),) = (hop.texts for hop in window_input(first).new_hops if hop.texts)
    assert (told.text, told.language) == ("hello there", "en-GB")


def said(*words: tuple[int, str, bool], end_ms: int) -> PacketBatch:
    packets = [
        Packet(
            stream="s",
            modality=Modality.TEXT,
            seq=seq,
            t_ns=t_ms * NS_PER_MS,
            payload=TextMessage(text=text, is_final=is_final),
        )
        for seq, (t_ms, text, is_final) in enumerate(words)
    ]
    return PacketBatch.of("s", Modality.TEXT, packets, progress_ns=end_ms * NS_PER_MS, ended=True)


def test_words_that_will_be_replaced_are_not_counted_twice() -> None:
    # text   0.2 "I" (guess)   0.4 "I am" (guess)   0.7 "I am here"   0.9 "and" (guess)
    guesses = [(200, "I", False), (400, "I am", False), (700, "I am here", True)]
    batch = said(*guesses, (900, "and", False), end_ms=2000)
    (only,) = windows(batch, sound((0, np.zeros(2 * RATE)), end_ms=2000))
    found = ready(only)
    assert [[t.text for t in hop.texts] for hop in found.hops] == [[], ["I am here"], [], []]
    assert found.signals.words == 3
    receipt = found.receipts[Modality.TEXT]
    assert (receipt.packets, receipt.state) == (1, "complete")


def test_only_guesses_are_nothing_said() -> None:
    batch = said((200, "I", False), end_ms=2000)
    (only,) = windows(batch, sound((0, np.zeros(2 * RATE)), end_ms=2000))
    receipt = ready(only).receipts[Modality.TEXT]
    assert (receipt.packets, receipt.state, ready(only).signals.words) == (0, "empty", 0)


def test_words_with_times_of_their_own_count_where_they_were_said() -> None:
    # utterance  [ one 0.3   two 1.9 | three 2.1   four 2.6 )
    # w0         [                   2.0)  w1 [0.5 ........ 2.5)  w2 [1.0 ... 3.0)
    times = {"one": 300, "two": 1900, "three": 2100, "four": 2600}
    utterance = TextMessage(
        text=" ".join(times),
        words=tuple(
            Word(text=text, start_ns=ms * NS_PER_MS, end_ns=(ms + 200) * NS_PER_MS)
            for text, ms in times.items()
        ),
    )
    packet = Packet(
        stream="s",
        modality=Modality.TEXT,
        seq=0,
        t_ns=300 * NS_PER_MS,
        duration_ns=2500 * NS_PER_MS,
        payload=utterance,
    )
    batch = PacketBatch.of("s", Modality.TEXT, [packet], progress_ns=3000 * NS_PER_MS, ended=True)
    found = windows(batch, sound((0, np.zeros(3 * RATE)), end_ms=3000))
    assert [ready(w).signals.words for w in found] == [2, 2, 3]


def test_faces_come_from_the_grid_and_nobody_there_is_not_a_missing_camera() -> None:
    # looks every 250 ms; a face from 0.5 s on
    def look(i: int) -> Packet:
        face = FaceCrop(
            pixels=np.full((64, 64, 3), 10 * i, np.uint8), box_px=(0, 0, 9, 9), track_id=1, score=1
        )
        return Packet(
            stream="s",
            modality=Modality.VIDEO,
            seq=i,
            t_ns=i * 250 * NS_PER_MS,
            duration_ns=250 * NS_PER_MS,
            payload=FaceObservation(
                frame_width_px=64, frame_height_px=64, faces=(face,) if i >= 2 else ()
            ),
        )

    batch = PacketBatch.of(
        "s", Modality.VIDEO, [look(i) for i in range(8)], progress_ns=2_000_000_000, ended=True
    )
    (only,) = windows(batch)
    first = ready(only)
    assert [len(hop.faces) for hop in first.hops] == [0, 2, 2, 2]
    assert first.hops[1].faces[:, 0, 0].tolist() == [20, 30]
    assert [look.faces for look in first.faces] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert first.signals.face_share == 0.75
    assert first.receipts[Modality.VIDEO].coverage == 1.0


def test_grey_keeps_the_mean_whatever_the_size() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 47, 48, 64, 200):
        pixels = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
        luma = pixels @ np.array([0.299, 0.587, 0.114])
        assert grey_face(pixels).shape == (48, 48)
        assert grey_face(pixels).mean() == pytest.approx(luma.mean(), abs=0.5)


def test_levels_are_dbfs() -> None:
    assert level_dbfs(np.ones(100, np.float32)) == 0
    assert level_dbfs(np.full(100, 0.1, np.float32)) == pytest.approx(-20, abs=1e-3)
    assert level_dbfs(np.zeros(100, np.float32)) == SILENCE_DBFS
