"""Who goes without what while reading is late, by hand-driven times."""

from __future__ import annotations

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


def test_a_stream_that_is_read_no_more_holds_nobody_back() -> None:
    behind = noted(streams(3, 2, 100), seconds=5)
    assert behind.must_spare("s2", spares=False)
    behind.forget("s0")
    assert behind.may_look("s2")
    assert not behind.must_spare("s2", spares=True)


def test_without_a_limit_of_age_nothing_is_left_out() -> None:
    behind = Behind(0)
    for tenth in range(100):
        behind.note("s", 3600 * NS_PER_S, tenth * NS_PER_S // 10)
    assert behind.may_look("s")
    assert not behind.must_spare("s", spares=False)
