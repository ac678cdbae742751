"""The clock of another host: dated by round trips, with bounds; steps and nonsense set apart."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from round_trips import BEGIN_NS, Delay, Host, exchanges

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.host_clock import Exchange, HostClock, Verdict

MS = NS_PER_MS


def jittery(seed: int, least_ms: float, jitter_ms: float) -> Delay:
    source = random.Random(seed)
    return lambda: round((least_ms + source.uniform(0, jitter_ms)) * MS)


def normal(source: random.Random, mean_ms: float, deviation_ms: float) -> Delay:
    return lambda: abs(round(source.gauss(mean_ms, deviation_ms) * MS))


def told(clock: HostClock, host: Host, count: int, begin_ns: int = BEGIN_NS, seed: int = 1) -> int:
    """Let `clock` make exchanges with `host`; the session time of the last."""
    there, back = jittery(seed, 3, 4), jittery(seed + 1, 3, 4)
    made = list(exchanges(host, count, there=there, back=back, begin_ns=begin_ns))
    for exchange in made:
        clock.observe(exchange)
    return made[-1].heard_ns


def error_ms(clock: HostClock, host: Host, session_ns: int) -> float:
    found = clock.at(host.at(session_ns))
    assert found is not None
    assert abs(found[0] - session_ns) <= found[1] + 1  # the clock ticks in whole nanoseconds
    return (found[0] - session_ns) / MS


def test_nothing_is_known_before_the_first_exchange():
    assert HostClock().at(5) is None


def test_one_exchange_bounds_by_half_its_delay():
    # here  asked 1000 ................................. heard 2100
    # there            received 51500 . replied 51600
    clock = HostClock()
    assert clock.observe(Exchange(1_000, 51_500, 51_600, 2_100)) is Verdict.ANCHORED
    # ahead is at least 1000 - 51500 (and what drift makes of 100 ns), at most 2100 - 51600
    assert clock.at(51_600) == (1_600, 501)
    t_ns, uncertainty_ns = clock.at(51_600 + NS_PER_S) or (0, 0)
    assert t_ns == 1_600 + NS_PER_S
    assert uncertainty_ns == 501 + 500_000  # 500 ppm of a second


@pytest.mark.parametrize("drift_ppm", [-100, 0, 100])
def test_on_ways_of_equal_delay_a_drifting_clock_is_followed_under_a_millisecond(drift_ppm):
    clock, host = HostClock(), Host(drift_ppm=drift_ppm)
    now_ns = told(clock, host, 8)
    worst = 0.0
    for seed in range(100):
        now_ns = told(clock, host, 8, begin_ns=now_ns + 250 * MS, seed=seed)
        worst = max(worst, abs(error_ms(clock, host, now_ns)))
    assert worst < 1.0  # 0.5 ms; of single exchanges the worst are off by 2 ms
    assert clock.drift_ppm == pytest.approx(-drift_ppm, abs=5)


def test_unequal_ways_are_off_by_half_the_difference_and_say_so():
    clock, host = HostClock(), Host()
    for exchange in exchanges(host, 100, there=lambda: 3 * MS, back=lambda: 13 * MS):
        clock.observe(exchange)
        assert error_ms(clock, host, exchange.heard_ns) == pytest.approx(5, abs=0.3)


def test_the_fastest_of_each_way_count_even_when_no_exchange_is_fast_both_ways():
    # there 1 9 1 9 ...   back 9 1 9 1 ...: each exchange alone is off by 4 ms
    there, back = itertools.cycle([1 * MS, 9 * MS]), itertools.cycle([9 * MS, 1 * MS])
    clock, host = HostClock(), Host(drift_ppm=0)
    for exchange in exchanges(host, 20, there=lambda: next(there), back=lambda: next(back)):
        clock.observe(exchange)
    assert abs(error_ms(clock, host, exchange.heard_ns)) < 0.1


def test_a_step_is_set_apart_until_three_agree_and_then_a_new_epoch_begins():
    # clock  |--- host ---|--- host, an hour back ---
    # state   t t ... t t  q q A t t
    clock, host = HostClock(), Host()
    now_ns = told(clock, host, 40)
    stepped = Host(zero_ns=host.zero_ns - 3600 * NS_PER_S)
    made = exchanges(
        stepped, 5, there=lambda: 3 * MS, back=lambda: 3 * MS, begin_ns=now_ns + 250 * MS
    )
    verdicts = [clock.observe(exchange).value for exchange in made]
    assert verdicts == ["quarantined", "quarantined", "anchored", "tracked", "tracked"]
    assert clock.epoch == 2
    assert clock.jump_ns / NS_PER_S == pytest.approx(-3600, abs=0.01)
    assert abs(error_ms(clock, stepped, now_ns + 2 * NS_PER_S)) < 1.0
    assert clock.drift_ppm == pytest.approx(-100, abs=15)  # the crystal is still the same


def test_one_answer_of_another_clock_changes_nothing():
    clock, host = HostClock(), Host()
    now_ns = told(clock, host, 40)
    before = clock.at(host.at(now_ns))
    (stray,) = exchanges(Host(zero_ns=0), 1, there=lambda: MS, back=lambda: MS, begin_ns=now_ns)
    assert clock.observe(stray) is Verdict.QUARANTINED
    assert clock.doubtful
    assert clock.at(host.at(now_ns)) == before
    told(clock, host, 1, begin_ns=now_ns + 250 * MS)
    assert not clock.doubtful
    assert clock.epoch == 1


def test_a_clock_that_runs_backwards_by_less_than_the_delay_is_seen():
    clock = HostClock()
    assert clock.observe(Exchange(0, 5 * MS, 5 * MS, 10 * MS)) is Verdict.ANCHORED
    assert clock.observe(Exchange(10 * MS, 4 * MS, 4 * MS, 14 * MS)) is Verdict.QUARANTINED


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(10, 5, 4, 20),  # answered before it came
        Exchange(20, 5, 5, 10),  # heard before it was asked
        Exchange(0, 0, 2 * MS, MS),  # held for longer than it took
        Exchange(0, 0, 0, 2 * NS_PER_S + 1),  # too slow to say much
        Exchange(0, 1 << 62, 1 << 62, 10),
    ],
)
def test_an_absurd_answer_is_passed_over(exchange):
    clock, host = HostClock(), Host()
    assert clock.observe(exchange) is Verdict.ABSURD
    assert clock.at(0) is None
    now_ns = told(clock, host, 10)
    before = clock.at(host.at(now_ns))
    assert clock.observe(exchange) is Verdict.ABSURD
    assert clock.at(host.at(now_ns)) == before


def test_a_rate_that_changes_is_learned_as_soon_as_it_contradicts_the_old_one():
    # a LAN; after 75 s the other clock is sped up by 300 ppm, as a time service does
    source = random.Random(3)

    def lan() -> int:
        return round((0.1 + source.expovariate(10)) * MS)

    clock, slow = HostClock(), Host(drift_ppm=0)
    before = list(exchanges(slow, 300, there=lan, back=lan))
    turn_ns = before[-1].heard_ns
    fast = Host(zero_ns=slow.zero_ns - (turn_ns - BEGIN_NS) * 300 // 1_000_000, drift_ppm=300)
    errors = []
    for exchange in before:
        clock.observe(exchange)
    for exchange in exchanges(fast, 60, there=lan, back=lan, begin_ns=turn_ns + 250 * MS):
        clock.observe(exchange)
        errors.append(abs(error_ms(clock, fast, exchange.heard_ns)))
    assert max(errors[10:]) < 0.1
    assert clock.drift_ppm == pytest.approx(-300, abs=10)
    assert clock.epoch == 1


def errors_over_seeds(there: Callable[[random.Random], Delay], back_ms: float) -> list[float]:
    """In order; from a minute on, each of four times."""
    errors = []
    for seed in range(4):
        source = random.Random(seed)
        clock, host = HostClock(), Host()
        back = normal(source, back_ms, 3)
        for i, exchange in enumerate(exchanges(host, 600, there=there(source), back=back)):
            clock.observe(exchange)
            if i >= 250:
                errors.append(abs(error_ms(clock, host, exchange.heard_ns)))
    return sorted(errors)


def test_where_hardly_a_message_is_fast_the_middles_of_exchanges_count_too():
    errors = errors_over_seeds(lambda source: normal(source, 20, 3), 20)
    assert errors[len(errors) * 99 // 100] < 1.0  # 1.9 ms by the fastest alone


def test_where_one_way_is_loaded_the_middles_do_not_count():
    def loaded(source: random.Random) -> Delay:
        free = normal(source, 20, 3)
        return lambda: free() + round(source.expovariate(0.1) * MS)

    errors = errors_over_seeds(loaded, 20)
    assert errors[len(errors) // 2] < 2.0  # 2.8 ms when they count; they are 5 ms off
