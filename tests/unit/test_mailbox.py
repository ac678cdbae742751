"""The mailbox: bounded, honest about what it dropped, never silent. No test sleeps."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.mailbox import Delivery, Mailbox


def drain(box: Mailbox[int]) -> list[int]:
    items = []
    while (item := box.take(timeout_s=0)) is not None:
        items.append(item)
    return items


def assert_conserved(box: Mailbox[int]) -> None:
    counts = box.counts()
    assert counts.put == counts.taken + counts.dropped + counts.waiting


def test_items_come_out_in_order() -> None:
    box: Mailbox[int] = Mailbox(3)
    assert all(box.put(i) for i in range(3))
    assert drain(box) == [0, 1, 2]


def test_block_refuses_when_full_and_loses_nothing() -> None:
    box: Mailbox[int] = Mailbox(2)
    assert [box.put(i, timeout_s=0) for i in range(3)] == [True, True, False]
    assert drain(box) == [0, 1]
    assert box.counts().dropped == 0


def test_freshest_drops_the_oldest_and_says_so() -> None:
    dropped: list[int] = []
    box: Mailbox[int] = Mailbox(2, Delivery.FRESHEST, on_drop=dropped.append)
    for i in range(5):
        assert box.put(i, timeout_s=0)
    assert dropped == [0, 1, 2]
    assert drain(box) == [3, 4]
    assert_conserved(box)


def test_freshest_spares_what_may_not_be_dropped() -> None:
    # 1 and 3 may not be dropped: 2 goes for 4, then 4 for 6, and at last 5 has to wait.
    box: Mailbox[int] = Mailbox(2, Delivery.FRESHEST, may_drop=lambda i: i % 2 == 0)
    assert [box.put(i, timeout_s=0) for i in (1, 2, 3, 5)] == [True, True, True, False]
    assert drain(box) == [1, 3]
    assert_conserved(box)


def test_a_waiting_producer_goes_on_when_there_is_room() -> None:
    box: Mailbox[int] = Mailbox(1)
    box.put(1)
    outcome: list[bool] = []
    producer = threading.Thread(target=lambda: outcome.append(box.put(2, timeout_s=10)))
    producer.start()
    assert box.take() == 1
    producer.join()
    assert outcome == [True]
    assert box.take() == 2


def test_closing_wakes_both_sides_and_keeps_what_waits() -> None:
    box: Mailbox[int] = Mailbox(1)
    box.put(1)
    outcome: list[bool] = []
    producer = threading.Thread(target=lambda: outcome.append(box.put(2)))
    producer.start()
    box.close()
    producer.join()
    assert outcome == [False]
    assert box.closed
    assert not box.put(3)
    assert box.take() == 1
    assert box.take() is None


def test_a_mailbox_holds_at_least_one_item() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Mailbox(0)


@given(
    st.integers(1, 4),
    st.sampled_from(Delivery),
    st.lists(st.none() | st.integers(0, 9), max_size=40),
)
def test_put_is_taken_and_dropped_and_waiting(
    capacity: int, delivery: Delivery, steps: list[int | None]
) -> None:
    dropped: list[int] = []
    box: Mailbox[int] = Mailbox(capacity, delivery, lambda i: i % 3 != 0, dropped.append)
    for step in steps:
        if step is None:
            box.take(timeout_s=0)
        else:
            box.put(step, timeout_s=0)
        assert_conserved(box)
        assert box.counts().waiting <= capacity
    assert box.counts().dropped == len(dropped)
