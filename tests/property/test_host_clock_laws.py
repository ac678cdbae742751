"""Laws of another host's clock: the truth is always within the uncertainty, whatever the ways."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from round_trips import Host, exchanges

from streaming.clock import NS_PER_S
from streaming.host_clock import Exchange, HostClock

delays = st.integers(0, 400_000_000) | st.integers(0, 3_000_000)
times = st.integers(-(1 << 63), 1 << 63)


@given(
    there=st.lists(delays, min_size=1, max_size=40),
    back=st.lists(delays, min_size=1, max_size=40),
    drift_ppm=st.integers(-490, 490),
    zero_ns=st.integers(-(1 << 55), 1 << 55),
    held_ns=st.integers(0, 10_000_000),
    period_ns=st.integers(1_000_000, 20 * NS_PER_S),
    asked_s=st.floats(-60, 60),
)
@settings(max_examples=150)
def test_the_interval_always_holds_the_truth(
    there, back, drift_ppm, zero_ns, held_ns, period_ns, asked_s
):
    host, clock = Host(zero_ns=zero_ns, drift_ppm=drift_ppm), HostClock()
    outward, homeward = iter(there * 40), iter(back * 40)
    made = exchanges(
        host,
        40,
        there=lambda: next(outward),
        back=lambda: next(homeward),
        held_ns=held_ns,
        period_ns=period_ns,
    )
    narrowest_ns = 1 << 62
    for exchange in made:
        clock.observe(exchange)
        narrowest_ns = min(narrowest_ns + period_ns // 500, exchange.delay_ns)
        assert (clock.at(exchange.replied_ns) or (0, 0))[1] <= narrowest_ns * 1.01 + 10_000_000
        for session_ns in (exchange.heard_ns, exchange.heard_ns + round(asked_s * NS_PER_S)):
            t_ns, uncertainty_ns = clock.at(host.at(session_ns)) or (0, -1)
            # Host clocks tick in whole nanoseconds.
            assert abs(t_ns - session_ns) <= uncertainty_ns + 2
    assert clock.epoch == 1  # no true clock is taken for another


@given(st.lists(st.tuples(times, times, times, times), max_size=30))
@settings(max_examples=100)
def test_whatever_is_answered_is_judged_and_never_raises(rows):
    clock, epoch = HostClock(), 0
    for row in rows:
        clock.observe(Exchange(*row))
        assert clock.epoch in (epoch, epoch + 1)
        epoch = clock.epoch
        found = clock.at(row[2])
        assert (found is None) == (epoch == 0)
        assert found is None or found[1] >= 0


@given(
    shifts=st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=4),
    delay=st.integers(0, 10**8),
)
@settings(max_examples=60)
def test_after_any_steps_a_clock_that_stays_is_dated_again(shifts, delay):
    clock, now_ns, zero_ns = HostClock(), 5_000 * NS_PER_S, 0
    for shift_ns in shifts:
        zero_ns += shift_ns
        host = Host(zero_ns=zero_ns, drift_ppm=0)
        made = exchanges(host, 4, there=lambda: delay, back=lambda: delay, begin_ns=now_ns)
        for exchange in made:
            clock.observe(exchange)
            now_ns = exchange.heard_ns + 10**8
    t_ns, uncertainty_ns = clock.at(host.at(now_ns)) or (0, -1)
    # A step by less than the bounds are wide cannot be seen; then it is off by no more than that.
    assert abs(t_ns - now_ns) <= 2 * uncertainty_ns + len(shifts) * 2 * (delay + 50_000) + 2


@given(
    count=st.integers(2, 30),
    delays=st.lists(st.integers(0, 10**8), min_size=60, max_size=60),
    still=st.booleans(),
)
@settings(max_examples=60)
def test_a_clock_in_coarse_ticks_or_standing_still_is_judged_and_never_raises(count, delays, still):
    clock, now_ns = HostClock(), 0
    for there, back in zip(delays[:count], delays[30:], strict=False):
        shown = 7 if still else (now_ns + there) // 15_600_000 * 15_600_000
        clock.observe(Exchange(now_ns, shown, shown, now_ns + there + back))
        now_ns += there + back
        found = clock.at(shown)
        assert found is not None
        assert found[1] >= 0
