"""Marks by hand: between which instants a light came on and a sound set in."""

from __future__ import annotations

import numpy as np
import pytest
from sync_scene import onsets, sound

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.sync.marks import FlashFinder

DARK, LIT = 50.0, 200.0


def spans_ms(*pictures: tuple[int, float]):
    finder = FlashFinder()
    found = [finder.take(t_ms * NS_PER_MS, level) for t_ms, level in pictures]
    return [(a / NS_PER_MS, b / NS_PER_MS) for a, b in filter(None, found)]


def test_a_flash_lies_between_the_last_dark_picture_and_the_first_bright_one():
    # ms       0    40   80   120
    # picture  dark dark lit  lit
    # came on       [----]
    assert spans_ms((0, DARK), (40, DARK), (80, LIT), (120, LIT)) == [(40, 80)]


def test_a_half_lit_picture_was_being_exposed_when_the_light_came_on():
    # ms       0    40   80   120
    # picture  dark half lit  lit
    # came on    [----]
    assert spans_ms((0, DARK), (40, 120), (80, LIT), (120, LIT)) == [(20, 60)]


def test_a_trace_of_light_may_be_noise_and_bounds_nothing():
    # ms       0    40    80   120      40 ms: a tenth, 40 ms of the other: nine tenths
    # came on    [--------]
    assert spans_ms((0, DARK), (40, 65), (80, LIT), (120, LIT)) == [(20, 80)]
    # came on  [------]
    assert spans_ms((0, DARK), (40, 190), (80, LIT), (120, LIT)) == [(0, 60)]


def test_a_lost_picture_widens_the_bounds_and_a_long_hole_hides_the_flash():
    assert spans_ms((0, DARK), (80, LIT), (120, LIT)) == [(0, 80)]
    assert spans_ms((0, DARK), (126, LIT), (166, LIT)) == []


def test_no_flash_is_seen_in_a_slow_brightening_or_a_small_one():
    slow = [(40 * i, DARK + 5 * i) for i in range(30)]
    assert spans_ms(*slow, (1200, DARK)) == []
    assert spans_ms((0, DARK), (40, DARK + 39), (80, DARK + 39)) == []


@pytest.mark.parametrize("chunk", [37, 1600, 8000, 48_000])
def test_a_beep_sets_in_between_its_last_quiet_block_and_its_first_loud_one(chunk):
    [(a, b)] = onsets(sound([1.2345], 3.0), chunk)
    assert a <= 1.2345 * NS_PER_S <= b
    assert b - a <= 8 * NS_PER_MS


def test_a_sound_is_dated_by_the_chunk_that_carries_it():
    # A clock that goes 100 ms wrong between two chunks: the beep keeps to its own.
    [(a, b)] = onsets(sound([1.2345], 3.0), 1600, zero_ns=7 * NS_PER_S)
    assert a <= 8.2345 * NS_PER_S <= b


def test_nothing_sets_in_out_of_noise_or_before_quiet_was_heard():
    assert onsets(sound([0.1], 2.0)) == []  # not 300 ms of quiet
    assert onsets(sound([1.0], 2.0, noise=0.3)) == []
    assert onsets(np.zeros((32_000, 1), np.float32)) == []
