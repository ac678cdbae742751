"""Mouth and voice: what is said of them, and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from speaker_scene import speaking

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Trace
from streaming.sync.speaker import SpeakerOffset, Track, agreement, mouth_taps, voice_taps

MS = NS_PER_MS


def told(mouth: Trace, voice: Trace, now_s: float = 10.0, dated_ns: int = 0):
    meter = SpeakerOffset()
    meter.see(0, dated_ns, mouth)
    meter.hear(0, dated_ns, voice)
    return meter.measure(round(now_s * NS_PER_S))


@pytest.mark.parametrize("late_ms", [-400, -137, 0, 5, 320])
def test_the_offset_of_a_speaker_is_found(late_ms):
    found = told(*speaking(10, late_s=late_ms / 1000))
    assert found is not None
    assert abs(found.offset_ns - late_ms * MS) <= 10 * MS
    assert 40 * MS <= found.uncertainty_ns <= 80 * MS


def test_nothing_is_said_of_less_than_four_seconds_together():
    # s       0    2    4    6    8    10
    # mouth   [-------------------------]
    # voice                    [--------]     3.5 s of it
    mouth, voice = speaking(10)
    late = voice.at_ns >= 6.5 * NS_PER_S
    assert told(mouth, Trace(at_ns=voice.at_ns[late], values=voice.values[late])) is None
    late = voice.at_ns >= 4.5 * NS_PER_S
    assert told(mouth, Trace(at_ns=voice.at_ns[late], values=voice.values[late])) is not None


def test_an_offset_out_of_reach_is_not_mistaken_for_one_within():
    assert told(*speaking(10, late_s=0.5)) is None  # at the edge: it may be further away
    assert told(*speaking(10, late_s=0.9)) is None
    assert told(*speaking(10, late_s=-0.9)) is None


def test_strangers_and_silence_are_not_believed():
    believed = [
        told(speaking(10, seed=a)[0], speaking(10, seed=b)[1])
        for a, b in zip(range(0, 60, 2), range(1, 60, 2), strict=True)
    ]
    assert believed == [None] * 30
    mouth, voice = speaking(10)
    still = Trace(at_ns=voice.at_ns, values=np.zeros_like(voice.values))
    assert told(mouth, still) is None


def test_times_that_are_not_sure_make_the_offset_unsure():
    sure, unsure = told(*speaking(10)), told(*speaking(10), dated_ns=20 * MS)
    assert unsure.uncertainty_ns == sure.uncertainty_ns + 40 * MS


def test_only_the_last_half_minute_counts():
    # s       0        20        40        60
    # late    [ 200 ms ][---- -100 ms ----]
    mouth, voice = speaking(20, late_s=0.2)
    second_mouth, second_voice = speaking(40, late_s=-0.1, seed=1)
    meter = SpeakerOffset()
    meter.see(0, 0, mouth)
    meter.hear(0, 0, voice)
    meter.see(20 * NS_PER_S, 0, second_mouth)
    meter.hear(20 * NS_PER_S, 0, second_voice)
    found = meter.measure(60 * NS_PER_S)
    assert abs(found.offset_ns + 100 * MS) <= 10 * MS


def test_what_was_before_a_new_beginning_is_forgotten():
    meter = SpeakerOffset()
    mouth, voice = speaking(10)
    meter.begin(6 * NS_PER_S + NS_PER_S // 2)
    meter.see(0, 0, mouth)
    meter.hear(0, 0, voice)
    assert meter.measure(10 * NS_PER_S) is None


def test_agreement_is_the_sum_of_the_correlations_of_what_is_known():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(90, 2)), rng.normal(size=(90, 2))
    seen, heard = rng.random(90) > 0.2, rng.random(90) > 0.2
    summed, count = agreement(a, seen, b, heard)
    for lag in (-25, -3, 0, 8, 25):
        pairs = [(t, t + lag) for t in range(90) if 0 <= t + lag < 90]
        both = [(t, u) for t, u in pairs if seen[t] and heard[u]]
        t, u = (list(side) for side in zip(*both, strict=True))
        expected = sum(np.corrcoef(a[t, c], b[u, c])[0, 1] for c in range(2))
        assert count[lag + 25] == len(both)
        assert summed[lag + 25] == pytest.approx(expected)


def test_a_voice_is_compared_with_its_own_mean_and_one_jerk_does_not_count_for_all():
    steady = np.full((100, 6), 3.0)
    assert np.allclose(voice_taps(steady), 0)
    rising = steady + np.where(np.arange(100) == 50, 1.0, 0.0)[:, None]
    assert voice_taps(rising)[50].max() == pytest.approx(1 - 1 / 51)  # of a second around it
    jerk = np.zeros((9, 9))
    jerk[4] = 100.0
    assert mouth_taps(jerk, np.full(9, 2.0)).max() == 4.0


def test_of_a_mouth_that_was_not_seen_nothing_is_known():
    # ms     0   40   80 ... 400                800   840
    # seen   |    |    |      |                  |     |
    # known  [------------------]              [--------]    50 ms around each
    at_ms = [*range(0, 401, 40), 800, 840]
    track = Track(1)
    track.add(np.array(at_ms) * MS, np.array(at_ms, np.float32)[:, None])
    grid_ms = np.arange(0, 900, 10)
    values, known = track.at(grid_ms * MS)
    assert grid_ms[~known].tolist() == [*range(460, 750, 10)]
    inside = known & (grid_ms <= 400)
    assert np.allclose(values[inside, 0], grid_ms[inside])


def test_numbers_that_are_none_are_not_believed():
    mouth, voice = speaking(10)
    voice.values[100] = np.nan
    assert told(mouth, voice) is None
