"""Laws of the clock map, for whatever packets come."""

from __future__ import annotations

from device_clock import NS_PER_S, packets
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.clock_map import ClockMap, Tracking

times = st.integers(-(1 << 64), 1 << 64)
pairs = st.lists(st.tuples(times, st.integers(0, 10 * NS_PER_S)), max_size=60)


def arrivals(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Any device time; arrivals never run backwards."""
    now, out = 0, []
    for device_ns, later_ns in steps:
        now += later_ns
        out.append((device_ns, now))
    return out


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_is_dated_and_never_raises(steps):
    clock, epoch = ClockMap(), 0
    for device_ns, arrival_ns in arrivals(steps):
        stamp = clock.observe(device_ns, arrival_ns)
        assert stamp.uncertainty_ns >= 0
        assert stamp.tracking is not Tracking.QUARANTINED or stamp.t_ns == arrival_ns
        # Nothing is dated after it was in hand, but for the rounding of a float.
        assert stamp.t_ns <= arrival_ns + 1_000
        assert clock.epoch in (epoch, epoch + 1)
        epoch = clock.epoch


@given(
    seed=st.integers(0, 1000),
    drift_ppm=st.floats(-200, 200),
    jitter_ms=st.floats(0, 30),
    loss=st.floats(0, 0.3),
    rate_hz=st.sampled_from([15.0, 30.0, 50.0]),
)
@settings(max_examples=30, deadline=None)
def test_any_crystal_is_learned_within_a_minute(seed, drift_ppm, jitter_ms, loss, rate_hz):
    true, device, arrival = packets(
        60, seed=seed, drift_ppm=drift_ppm, jitter_ms=jitter_ms, loss=loss, rate_hz=rate_hz
    )
    clock = ClockMap()
    stamps = [clock.observe(d, a) for d, a in zip(device.tolist(), arrival.tolist(), strict=True)]
    worst = max(abs(s.t_ns - t) for s, t in zip(stamps[-100:], true[-100:].tolist(), strict=True))
    assert worst < 3_000_000
    assert clock.epoch == 1


@given(
    seed=st.integers(0, 1000),
    device_zero_ns=st.integers(-(1 << 55), 1 << 55),
    session_ns=st.integers(0, 1 << 55),
)
@settings(max_examples=20, deadline=None)
def test_where_the_clocks_begin_does_not_matter(seed, device_zero_ns, session_ns):
    _, device, arrival = packets(5, seed=seed)
    here, there = ClockMap(), ClockMap()
    for d, a in zip(device.tolist(), arrival.tolist(), strict=True):
        first, second = here.observe(d, a), there.observe(d + device_zero_ns, a + session_ns)
        assert second.t_ns - first.t_ns == session_ns
        assert second[1:] == first[1:]
