"""Each packet is counted once, whoever read it and whoever aligned it."""

from __future__ import annotations

import numpy as np

from actors.accounts import RESTART, Account, Carried
from streaming.ledger import Counts


def now(pushed: int) -> Counts:
    """An aligner that was given so many packets, and has windowed them."""
    return Counts(pushed=pushed, windowed=pushed, pending=0, dropped={})


def taken(account: Account, *batches: tuple[int, int, int]) -> Account:
    """Batches of (reader, number, packets)."""
    for reader, number, packets in batches:
        account.take(number, np.ones(packets, np.bool_), reader)
    return account


def test_a_reader_that_takes_anothers_place_counts_from_zero() -> None:
    # reader 0   |0 5 10|
    # reader 30          |0 5|
    account = taken(Account(), (0, 0, 5), (0, 5, 5), (30, 0, 5), (30, 5, 5))
    assert account.whole(now(20)).dropped == {}


def test_what_a_reader_handed_over_and_nobody_got_is_lost() -> None:
    # reader 0   |0 5 -- 15|
    # reader 30             | -- 4|
    account = taken(Account(), (0, 0, 5), (0, 5, 5), (0, 15, 5), (30, 4, 2))
    assert account.whole(now(17)).dropped == {RESTART: 5 + 4}
    assert account.whole(now(17)).pushed == 17 + 5 + 4


def test_the_packets_of_a_reader_that_was_cut_off_and_comes_back_are_not_lost() -> None:
    # reader 0   |0 ... 100|            |100 101 102|   the cable was out; another has its place
    # reader 30             |0 1 2 3 4 5|           |6 7
    account = taken(Account(), (0, 0, 100), (30, 0, 6), (0, 100, 1), (30, 6, 1), (0, 101, 2))
    account = taken(account, (30, 7, 1))
    assert account.whole(now(111)).dropped == {}


def test_an_old_reader_that_a_new_aligner_does_not_know_loses_nothing() -> None:
    # carried: reader 30 had handed over 6; reader 0 is still sending, from 103 on
    account = Account(Carried(reader=30, number=6, pushed=109, windowed=109))
    taken(account, (0, 103, 2), (30, 4, 2), (30, 6, 3), (0, 105, 1))
    whole = account.whole(now(8))
    assert whole.dropped == {}
    assert whole.pushed == 109 + 8 - 2


def test_of_a_reader_and_an_aligner_that_die_together_what_was_between_them_is_not_known() -> None:
    # carried: reader 0 had handed over 10; its next 5 went down; reader 30 begins anew
    account = Account(Carried(reader=0, number=10, pushed=10, windowed=10))
    taken(account, (30, 0, 5), (30, 5, 5))
    whole = account.whole(now(10))
    assert whole.dropped == {}
    assert whole.pushed == 20
