"""The clock map against simulated devices whose true times are known."""

from __future__ import annotations

import numpy as np
import pytest
from device_clock import BOOT_NS, NS_PER_S, packets

from streaming.clock_map import ClockMap, Stamp, Tracking

MS = 1_000_000
MINUTE_NS = 60 * NS_PER_S


def run(clock: ClockMap, device, arrival) -> list[Stamp]:
    return [clock.observe(d, a) for d, a in zip(device.tolist(), arrival.tolist(), strict=True)]


def errors_ms(stamps: list[Stamp], true) -> np.ndarray:
    return np.abs(np.array([s.t_ns for s in stamps]) - true) / MS


def learned(seconds: float = 60, **device) -> ClockMap:
    clock = ClockMap()
    _, stamps, arrival = packets(seconds, seed=3, **device)
    run(clock, stamps, arrival)
    return clock


@pytest.mark.parametrize("drift_ppm", [-100, 100])
def test_an_hour_with_drift_jitter_loss_and_disorder(drift_ppm):
    true, device, arrival = packets(3600, seed=11, rate_hz=50, drift_ppm=drift_ppm)
    assert (np.diff(device) < 0).any()  # there is disorder
    clock = ClockMap()
    stamps = run(clock, device, arrival)
    error = errors_ms(stamps, true)
    #  0 s ............ 30 s ......................................... 3600 s
    #  learning         drift known: everything within 1 ms
    assert np.percentile(error, 99) <= 5
    assert error[true - BOOT_NS > 30 * NS_PER_S].max() < 1
    # arrival stamping is 30 ms off at worst, one offset for ever 360 ms: the drift of an hour
    assert clock.drift_ppm == pytest.approx(-drift_ppm, abs=2)
    assert clock.epoch == 1


def test_the_stated_uncertainty_holds():
    true, device, arrival = packets(600, seed=12)
    stamps = run(ClockMap(), device, arrival)
    stated = np.array([s.uncertainty_ns for s in stamps]) / MS
    assert np.mean(errors_ms(stamps, true) <= stated) > 0.99
    assert np.median(stated) < 2  # and says something


def test_a_late_burst_moves_nothing():
    clock = learned()
    true, device, arrival = packets(10, seed=4, begin_ns=BOOT_NS + MINUTE_NS)
    #  device  |  |  |  |  |  |  |  |
    #  arrival                       ||||||||   all at once, ten seconds later
    arrival = np.full_like(arrival, arrival[-1])
    stamps = run(clock, device, arrival)
    assert errors_ms(stamps, true).max() < 1
    assert {s.tracking for s in stamps[:200]} == {Tracking.LATE}
    assert clock.epoch == 1


@pytest.mark.parametrize("absurd_ns", [-(1 << 63), -1, 1 << 61, 1 << 70])
def test_a_single_absurd_timestamp_is_set_aside(absurd_ns):
    clock = learned()
    true, device, arrival = packets(5, seed=5, begin_ns=BOOT_NS + MINUTE_NS)
    before = run(clock, device[:50], arrival[:50])
    odd = clock.observe(absurd_ns, int(arrival[50]))
    after = run(clock, device[51:], arrival[51:])
    assert odd == (arrival[50], NS_PER_S, Tracking.QUARANTINED)
    assert errors_ms(before + after, np.delete(true, 50)).max() < 1
    assert clock.epoch == 1


@pytest.mark.parametrize("zero_ns", [-3600 * NS_PER_S, -MINUTE_NS, NS_PER_S, 3600 * NS_PER_S])
def test_another_clock_begins_an_epoch_without_restart(zero_ns):
    clock = learned()
    true, device, arrival = packets(
        60, seed=6, begin_ns=BOOT_NS + MINUTE_NS, device_zero_ns=zero_ns
    )
    stamps = run(clock, device, arrival)
    #  old clock ..........|q q A t t t t      two witnesses, the third one anchors
    assert [s.tracking for s in stamps[:2]] == [Tracking.QUARANTINED] * 2
    assert stamps[2].tracking is Tracking.ANCHORED
    assert {s.tracking for s in stamps[3:]} == {Tracking.TRACKED}
    assert errors_ms(stamps, true).max() < 40  # no worse than arrival, at once
    assert errors_ms(stamps, true)[300:].max() < 1  # and learned again
    assert clock.epoch == 2


def test_a_suspend_in_which_the_device_stood_still():
    clock = learned()
    minutes = 7 * MINUTE_NS
    true, device, arrival = packets(60, seed=7, begin_ns=BOOT_NS + MINUTE_NS)
    #  session  0 .. 60 s           480 s .. 540 s
    #  device   0 .. 60 s (asleep)   60 s .. 120 s
    stamps = run(clock, device, arrival + minutes)
    assert stamps[0].tracking is Tracking.ANCHORED
    assert errors_ms(stamps, true + minutes).max() < 31
    assert errors_ms(stamps, true + minutes)[300:].max() < 1
    assert clock.epoch == 2


def test_a_gap_of_minutes_in_which_both_clocks_went_on():
    clock = learned(120)
    true, device, arrival = packets(60, seed=8, begin_ns=BOOT_NS + 600 * NS_PER_S)
    stamps = run(clock, device, arrival)
    assert errors_ms(stamps, true).max() < 5
    #  0 .. 120 s             600 s: eight minutes on a drift that is known to about one ppm
    assert abs(stamps[0].t_ns - true[0]) <= stamps[0].uncertainty_ns < 5 * MS
    assert clock.epoch == 1


def test_a_delay_that_grows_for_good_is_followed():
    clock = learned()
    true, device, arrival = packets(60, seed=9, begin_ns=BOOT_NS + MINUTE_NS)
    stamps = run(clock, device, arrival + 80 * MS)
    #  delay 0 ......|80 ms ........   after six seconds this is how it is, and drift stays known
    error = errors_ms(stamps, true + 80 * MS)
    assert error[:100].min() > 70
    assert error[true > BOOT_NS + MINUTE_NS + 7 * NS_PER_S].max() < 2
    assert clock.epoch == 2
    assert clock.drift_ppm == pytest.approx(-100, abs=5)


def test_after_an_xrun_the_offset_is_new_and_the_drift_known():
    clock = learned()
    clock.reanchor()
    true, device, arrival = packets(60, seed=10, begin_ns=BOOT_NS + MINUTE_NS)
    lost_ns = 35 * MS  # samples that the device counted and nobody got
    stamps = run(clock, device - lost_ns, arrival)
    assert stamps[0] == (arrival[0], stamps[0].uncertainty_ns, Tracking.ANCHORED)
    assert clock.epoch == 2
    assert errors_ms(stamps, true)[90:].max() < 2
    assert clock.drift_ppm == pytest.approx(-100, abs=5)


def test_reanchor_before_the_first_packet_means_nothing():
    clock = ClockMap()
    clock.reanchor()
    assert clock.epoch == 0
    assert clock.observe(1, 2).t_ns == 2
    assert clock.epoch == 1
