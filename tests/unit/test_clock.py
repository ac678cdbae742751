"""Clocks: time goes forward, and waiting can be stopped. No test sleeps."""

from __future__ import annotations

import threading

import pytest

from streaming.clock import Clock, HandClock, SystemClock


def test_the_hand_clock_moves_only_when_told() -> None:
    clock = HandClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance(3)
    assert clock.now_ns() == 8


def test_no_clock_runs_backwards() -> None:
    clock = HandClock(5)
    with pytest.raises(ValueError, match="-1"):
        clock.advance(-1)
    assert clock.wait_until(2)
    assert clock.now_ns() == 5


def test_waiting_on_the_hand_clock_moves_it_there() -> None:
    clock = HandClock()
    assert clock.wait_until(40)
    assert clock.now_ns() == 40


@pytest.mark.parametrize("clock", [HandClock(), SystemClock()])
def test_a_set_stop_ends_the_wait_at_once(clock: Clock) -> None:
    stop = threading.Event()
    stop.set()
    before = clock.now_ns()
    assert not clock.wait_until(before + 3_600_000_000_000, stop)
    assert clock.now_ns() < before + 3_600_000_000_000


def test_the_system_clock_waits_for_the_instant() -> None:
    clock = SystemClock()
    target = clock.now_ns() + 1_000_000
    assert clock.wait_until(target)
    assert clock.now_ns() >= target
    assert clock.wait_until(0)  # the past needs no waiting
