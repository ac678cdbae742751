"""The colour of a voice: every 20 ms, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Trace
from streaming.sync.voice import VoiceFollower

RATE = 16_000


def followed(samples: np.ndarray, chunk: int, hole_at: int | None = None, hole_ns: int = 0):
    """Times and values, with all chunks from `hole_at` on later by `hole_ns`."""
    voice, at_ns, values = VoiceFollower(), [], []
    for start in range(0, len(samples), chunk):
        late_ns = hole_ns if hole_at is not None and start >= hole_at else 0
        t_ns = start * NS_PER_S // RATE + late_ns
        found = voice.take(t_ns, samples[start : start + chunk])
        if isinstance(found, Trace):
            at_ns += (found.at_ns + t_ns).tolist()
            values += found.values.tolist()
    return np.array(at_ns), np.array(values)


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, level, (round(seconds * RATE), 1)).astype(np.float32)


@pytest.mark.parametrize("chunk", [100, 317, 8000, 40_000])
def test_it_is_the_same_however_the_sound_is_cut(chunk):
    whole_ns, whole = followed(noise(2), 32_000)
    cut_ns, cut = followed(noise(2), chunk)
    # ms      0        16       32          the first 32 ms are dated in their middle
    # frame   [--------|--------]
    assert whole_ns[:3].tolist() == [16 * NS_PER_MS, 36 * NS_PER_MS, 56 * NS_PER_MS]
    assert np.abs(cut_ns - whole_ns).max() <= 1000  # rounding of samples to ns
    assert np.allclose(cut, whole, atol=1e-5)
    assert whole.shape == ((32_000 - 512) // 320 + 1, 6)


def test_silence_is_zero_and_a_louder_sound_is_only_louder():
    _, quiet = followed(np.zeros((RATE, 1), np.float32), 8000)
    assert np.all(quiet == 0)
    _, soft = followed(noise(2, 0.05), 8000)
    _, loud = followed(noise(2, 0.1), 8000)
    apart = (loud - soft).mean(axis=0)
    assert apart[0] == pytest.approx(np.log(4), abs=0.01)
    assert np.abs(apart[1:]).max() < 0.01


def test_no_frame_spans_a_break():
    # chunks of 100 ms; from the tenth on they come 1 s later
    at_ns, _ = followed(noise(2), 1600, hole_at=16_000, hole_ns=NS_PER_S)
    after = at_ns[at_ns > 1_000 * NS_PER_MS]
    assert at_ns[at_ns < NS_PER_S].max() <= 984 * NS_PER_MS
    assert after.min() == 2_016 * NS_PER_MS
