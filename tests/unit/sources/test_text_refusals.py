"""What is refused of words: a rate, and an account of it."""

from __future__ import annotations

from streaming.clock import NS_PER_S as S
from streaming.health import HealthKind
from streaming.sources.text_refusals import Rate, Refusals


def test_a_rate_below_one_a_second_still_lets_one_through():
    rate = Rate(0.1)
    assert [rate.admits(t * S) for t in (100, 101, 109, 110, 120)] == [1, 0, 0, 1, 1]


def test_an_account_loses_nothing_between_the_times_it_is_told():
    account = Refusals()
    account.add(HealthKind.DROP, "a")
    assert account.due(0) == [(HealthKind.DROP, 1, "a")]
    account.add(HealthKind.DROP, "b")
    account.add(HealthKind.DROP, "c")
    assert account.due(S - 1) == []
    assert account.due(S) == [(HealthKind.DROP, 2, "c")]
    account.add(HealthKind.CORRUPT, "d")
    assert account.due(None) == [(HealthKind.CORRUPT, 1, "d")]
    assert account.due(None) == []
