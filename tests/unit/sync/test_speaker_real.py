"""Mouth and voice of real clips, as the benchmark measures them: one speaker, and two strangers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks.mouth_sync import Clip, follow, looks
from streaming.clock import NS_PER_MS
from streaming.sync.speaker import learnt


@lru_cache
def followed(path: Path) -> Clip:
    return follow(path)


@pytest.fixture
def webcam(data: Path) -> Clip:
    return followed(data / "media/webcam_24s.mp4")


@pytest.mark.parametrize("shift_ms", [-320, 0, 320])
def test_a_speaker_at_a_webcam_is_measured_to_two_pictures(webcam, shift_ms):
    found = [o for o in looks(webcam, webcam, learnt(), shift_ms) if o is not None]
    assert len(found) > 20  # of 49 looks; the first ten seconds are not enough
    for offset in found:
        error_ns = abs(offset.offset_ns - shift_ms * NS_PER_MS)
        assert error_ns <= min(80 * NS_PER_MS, offset.uncertainty_ns)


def test_other_voices_are_not_believed(webcam, data):
    for name in ("talk_1", "talk_3", "silent_expressions"):
        found = looks(webcam, followed(data / f"media/{name}.mp4"), learnt())
        assert len(found) > 10
        assert not any(found)
