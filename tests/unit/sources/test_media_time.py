"""Leaps of container time are stitched, tracks that leap together stay together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.sources.media_time import Stitcher

S = 1_000_000_000
FRAME = S // 25


def test_time_zero_is_the_given_start_and_late_tracks_start_late():
    stitcher = Stitcher(100 * S)
    assert stitcher.place("video", 100 * S, FRAME) == (0, 0, 0)
    assert stitcher.place("audio", 102 * S, FRAME) == (2 * S, 0, 0)


def test_two_tracks_that_leap_keep_their_distance():
    # raw video  0 ... 5 | 90 000      raw audio  0 ... 5 | 90 000.1
    stitcher = Stitcher(0)
    stitcher.place("video", 0, 5 * S)
    stitcher.place("audio", 0, 5 * S)
    video, _, by = stitcher.place("video", 90_000 * S, FRAME)
    assert (video, by) == (5 * S, 89_995 * S)
    audio, _, by = stitcher.place("audio", 90_000 * S + S // 10, FRAME)
    assert (audio, by) == (5 * S + S // 10, 89_995 * S)


def test_a_restart_of_the_clock_goes_on_after_the_latest_end():
    stitcher = Stitcher(0)
    stitcher.place("video", 0, 3 * S)
    stitcher.place("audio", 0, 3 * S + S // 50)
    assert stitcher.place("video", 0, FRAME)[0] == 3 * S + S // 50
    assert stitcher.place("audio", 0, FRAME)[0] == 3 * S + S // 50


def test_a_hole_in_one_track_alone_is_no_leap():
    stitcher = Stitcher(0)
    stitcher.place("audio", 0, S)
    for second in range(30):
        stitcher.place("video", second * S, S)
    assert stitcher.place("audio", 30 * S, S) == (30 * S, 0, 0)


def test_a_small_step_back_is_no_leap():
    stitcher = Stitcher(0)
    stitcher.place("video", 0, S)
    assert stitcher.place("video", S - S // 10, FRAME) == (S - S // 10, 0, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(-(10**14), 10**14)), max_size=60))
def test_whatever_comes_time_neither_falls_back_nor_runs_away(steps):
    stitcher = Stitcher()
    ends = {"video": 0, "audio": 0}
    for is_video, raw_ns in steps:
        track = "video" if is_video else "audio"
        t_ns, _, _ = stitcher.place(track, raw_ns, FRAME)
        assert t_ns >= ends[track] - S
        assert t_ns <= max(ends.values()) + 10 * S
        ends[track] = max(ends[track], t_ns + FRAME)
