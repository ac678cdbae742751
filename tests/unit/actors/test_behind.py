"""Who goes without what while reading is late, by hand-driven times."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.behind import Behind
from streaming.clock import NS_PER_MS, NS_PER_S

MS = NS_PER_MS
MAX_AGE_MS = 500.0  # so 50 ms is late for many, and 250 ms for one alone


def noted(late_ms: dict[str, int], seconds: int = 1) -> Behind:
    """All streams, noted ten times a second."""
    behind = Behind(MAX_AGE_MS)
    for tenth in range(10 * seconds):
        for stream, ms in late_ms.items():
            behind.note(stream, ms * MS, tenth * NS_PER_S // 10)
    return behind


def streams(count: int, late: int, late_ms: int) -> dict[str, int]:
    """`count` streams, the first `late` of them that late and the others not at all."""
    return {f"s{i}": late_ms if i < late else 0 for i in range(count)}


def test_one_that_is_late_alone_goes_without_looks_alone() -> None:
    behind = noted(streams(8, 1, 260))
    assert not behind.may_look("s0")
    assert all(behind.may_look(f"s{i}") for i in range(1, 8))


def test_one_that_is_a_little_late_alone_looks() -> None:
    assert noted(streams(1, 1, 240)).may_look("s0")
    assert noted(streams(2, 1, 240)).may_look("s1")


def test_more_than_a_quarter_that_are_a_little_late_stop_all_from_looking() -> None:
    # 8 streams, late by 60 ms:  2 of them: all look;  3: none
    assert all(noted(streams(8, 2, 60)).may_look(f"s{i}") for i in range(8))
    assert not any(noted(streams(8, 3, 60)).may_look(f"s{i}") for i in range(8))


def test_pictures_are_decoded_until_lateness_lasts_and_again_when_its_mean_has_halved() -> None:
    # late   60 ms, 60 ms ...   0 ms, 0 ms ...
    # mean   over 50 ms after 1.8 s; under 25 ms about 0.9 s after the end
    behind = Behind(MAX_AGE_MS)
    spared: list[int] = []
    spares = False
    for tenth in range(50):
        now_ns = tenth * NS_PER_S // 10
        for stream in ("a", "b", "c"):
            behind.note(stream, 60 * MS if tenth < 30 else 0, now_ns)
        spares = behind.must_spare("a", spares=spares)
        if spares:
            spared.append(tenth)
        assert behind.may_look("a") == (tenth >= 30)
    assert 15 <= spared[0] <= 20
    assert 36 <= spared[-1] <= 40
    assert spared == list(range(spared[0], spared[-1] + 1))


def spared_after(lateness_ms: Callable[[int], float], seconds: float, count: int = 8) -> list[int]:
    """In which milliseconds pictures of the first of `count` streams, all read alike, are spared:
    packets come 30 times a second, none during a stall (`lateness_ms` below 0)."""
    behind, spares, found = Behind(MAX_AGE_MS), False, []
    for at_ms in range(0, round(seconds * 1000), 33):
        late_ms = lateness_ms(at_ms)
        if late_ms >= 0:
            for i in range(count):
                behind.note(f"s{i}", round(late_ms * MS), at_ms * MS)
        spares = behind.must_spare("s0", spares=spares)
        if spares:
            found.append(at_ms)
    return found


def hiccup(stall_ms: int, work_off_ms: int) -> Callable[[int], float]:
    """Nothing is read for `stall_ms`, one second in; then what waits is worked off."""

    def late_ms(at_ms: int) -> float:
        since_ms = at_ms - 1000
        if 0 <= since_ms < stall_ms:
            return -1.0
        worked_off = (since_ms - stall_ms) / work_off_ms
        return stall_ms * (1 - worked_off) if 0 <= worked_off < 1 else 0.0

    return late_ms


def test_a_hiccup_of_300_ms_spares_no_picture() -> None:
    # read   ......|  nothing 300 ms  |300 ms late, worked off in 400 ms|......
    assert spared_after(hiccup(300, 400), 6) == []


def test_a_stall_of_a_second_spares_for_less_than_two() -> None:
    # read   ......|  nothing 1 s  |1 s late, worked off in a second|......
    spared = spared_after(hiccup(1000, 1000), 10)
    assert spared
    assert 2000 <= spared[0] < 2500
    assert spared[-1] - spared[0] < 2000


@pytest.mark.parametrize(("late_ms", "within_ms"), [(60, 1900), (75, 1200), (300, 1200)])
def test_lateness_that_lasts_spares_soon(late_ms: int, within_ms: int) -> None:
    spared = spared_after(lambda at_ms: late_ms, 5)
    assert spared[0] <= within_ms
    assert spared == list(range(spared[0], 5000, 33))


@settings(max_examples=30)
@given(st.integers(51, 5000), st.integers(1, 6))
def test_pictures_come_back_within_seconds_however_late_it_was(late_ms: int, seconds: int) -> None:
    # late   late_ms for `seconds`, then in time
    end_ms = 1000 * seconds
    spared = spared_after(lambda at_ms: late_ms if at_ms < end_ms else 0, seconds + 4, count=2)
    assert max(spared, default=0) <= end_ms + 1200


@settings(max_examples=30)
@given(st.lists(st.integers(0, 49), min_size=1, max_size=200))
def test_what_is_never_late_is_never_spared(lates_ms: list[int]) -> None:
    told = iter(lates_ms)
    assert spared_after(lambda at_ms: next(told, 0), 7) == []


def test_one_that_is_late_by_itself_for_a_second_is_spared_by_itself() -> None:
    # 8 streams; s0 is 400 ms late, the others not at all
    behind = noted(streams(8, 1, 400), seconds=2)
    assert behind.must_spare("s0", spares=False)
    assert not any(behind.must_spare(f"s{i}", spares=False) for i in range(1, 8))
    assert not noted(streams(8, 1, 240), seconds=20).must_spare("s0", spares=False)


def test_a_stream_that_is_read_no_more_holds_nobody_back() -> None:
    behind = noted(streams(3, 2, 100), seconds=5)
    assert behind.must_spare("s2", spares=False)
    behind.forget("s0")
    assert behind.may_look("s2")
    assert not behind.must_spare("s2", spares=True)


def test_a_stream_that_is_read_again_begins_afresh() -> None:
    behind = noted(streams(8, 1, 400), seconds=2)
    assert behind.must_spare("s0", spares=False)
    behind.forget("s0")
    behind.note("s0", 0, 3 * NS_PER_S)
    assert not behind.must_spare("s0", spares=True)


def test_without_a_limit_of_age_nothing_is_left_out() -> None:
    behind = Behind(0)
    for tenth in range(100):
        behind.note("s", 3600 * NS_PER_S, tenth * NS_PER_S // 10)
    assert behind.may_look("s")
    assert not behind.must_spare("s", spares=False)
