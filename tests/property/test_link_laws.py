"""Hand-overs by number: each comes once and in order, whatever a connection does to them."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.numbered import (
    AGAIN_S,
    FORGET_S,
    KEPT_BYTES,
    KEPT_S,
    MOST_PATIENCE_S,
    PATIENCE_S,
    Incoming,
    Outgoing,
)


class Wire:
    """A sender, a connection and a receiver. What is on its way is lost when it breaks."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.now_s = 0.0
        self.out, self.come = Outgoing(self.now_s, keeps=keeps), Incoming()
        self.way: deque[tuple[bytes, bytes]] = deque()
        self.answers: deque[bytes] = deque()
        self.got: list[bytes] = []
        self.renewed = 0

    def send(self, data: bytes) -> None:
        self.way.append(self.out.add(data, self.now_s))

    def arrive(self) -> None:
        if self.way:
            head, data = self.way.popleft()
            sender, fits = self.come.take(head, self.now_s)
            self.got += [data] * fits
            self.answers.append(self.come.answer(sender))

    def hear(self) -> None:
        if self.answers and self.out.hear(self.answers.popleft(), self.now_s):
            self.way.extend(self.out.waiting())

    def pass_time(self, s: float) -> None:
        self.now_s += s
        if self.out.overdue(self.now_s):
            self.lose()
            self.renewed += 1
            self.way.extend(self.out.waiting())

    def lose(self) -> None:
        self.way.clear()
        self.answers.clear()

    def settle(self) -> None:
        """Nothing breaks any more."""
        for _ in range(8):
            while self.way or self.answers:
                self.arrive()
                self.hear()
            self.pass_time(PATIENCE_S)


acts = st.sampled_from(
    ("send", "send", "arrive", "hear", "lose", "lose one", "lose answer", "wait")
)


@settings(max_examples=300, deadline=None)
@given(st.lists(acts, max_size=80), st.booleans())
def test_each_comes_once_and_in_order_whatever_is_lost(story, keeps):
    #   sent      0 1 2 3 4            1 and 2 lost with the connection
    #   came      0 . . 3              awaited 1: sent again from there
    #   taken     0       1 2 3 4
    wire, sent = Wire(keeps=keeps), []
    for act in story:
        match act:
            case "send":
                sent.append(str(len(sent)).encode())
                wire.send(sent[-1])
            case "arrive":
                wire.arrive()
            case "hear":
                wire.hear()
            case "lose":
                wire.lose()
            case "lose one":
                wire.way and wire.way.popleft()
            case "lose answer":
                wire.answers and wire.answers.popleft()
            case "wait":
                wire.pass_time(0.3)
        assert wire.got == sent[: len(wire.got)]
    wire.settle()
    assert wire.got == sent
    assert not wire.out.unanswered
    assert wire.come.lost == 0


def test_what_was_just_sent_again_is_not_asked_for_anew():
    # 0 lost, 1 2 3 come: each answer says that 0 is lacking
    wire = Wire()
    for data in (b"0", b"1", b"2", b"3"):
        wire.send(data)
    wire.way.popleft()
    for _ in range(3):
        wire.arrive()
    again = [wire.out.hear(answer, wire.now_s) for answer in wire.answers]
    assert again == [True, False, False]
    wire.now_s += AGAIN_S
    assert wire.out.hear(wire.answers[0], wire.now_s)
    wire.way.extend(wire.out.waiting())
    wire.settle()
    (head, _) = wire.out.add(b"4", wire.now_s)
    sender, _ = wire.come.take(head, wire.now_s)
    assert not wire.come.lacks(sender)  # and so nothing is sent again


def test_an_answer_that_is_out_of_date_asks_for_nothing():
    # 0 came late: an answer that it is lacking is heard after one that 0 1 2 have come
    wire = Wire()
    for data in (b"0", b"1", b"2"):
        wire.send(data)
    wire.way.rotate(-1)
    wire.arrive()
    stale = wire.answers.popleft()
    wire.way.clear()
    wire.way.extend(wire.out.waiting())
    wire.settle()
    wire.send(b"3")
    wire.now_s += 1.0
    assert not wire.out.hear(stale, wire.now_s)


def test_what_goes_over_a_new_connection_is_not_asked_for_at_once():
    wire = Wire()
    for data in (b"0", b"1", b"2"):
        wire.send(data)
    wire.way.rotate(-1)
    wire.arrive()
    lacking = wire.answers.popleft()
    wire.pass_time(PATIENCE_S)
    assert not wire.out.hear(lacking, wire.now_s)


def test_who_does_not_answer_is_waited_for_twice_as_long_each_time():
    wire = Wire()
    wire.send(b"0")
    times = []
    while len(times) < 6:
        wire.pass_time(0.5)
        if wire.renewed > len(times):
            times.append(wire.now_s)
    assert [b - a for a, b in zip([0.0, *times], times, strict=False)] == [2, 4, 8, 16, 32, 32]
    assert times[0] == PATIENCE_S
    assert MOST_PATIENCE_S == 32
    wire.settle()
    wire.send(b"1")  # once it was heard of again, not
    wire.lose()
    wire.pass_time(PATIENCE_S - 0.1)
    assert wire.renewed == 6
    wire.pass_time(0.1)
    assert wire.renewed == 7


def test_nobody_waits_while_there_is_nothing_to_wait_for():
    wire = Wire()
    wire.pass_time(100.0)
    wire.send(b"0")
    wire.pass_time(PATIENCE_S - 0.1)
    assert wire.renewed == 0


def test_a_receiver_in_anothers_place_is_given_all_that_is_kept():
    # sent 0 (too old) 1 2, all arrived at the first
    wire = Wire()
    wire.send(b"0")
    wire.now_s += KEPT_S + 1
    for data in (b"1", b"2"):
        wire.send(data)
    wire.settle()
    assert wire.got == [b"0", b"1", b"2"]
    wire.come, wire.got = Incoming(), []
    wire.out.begin_again(wire.now_s)
    wire.way.extend(wire.out.waiting())
    wire.settle()
    assert (wire.got, wire.come.lost) == ([b"1", b"2"], 0)


def test_what_is_not_kept_goes_when_it_has_arrived():
    wire = Wire(keeps=False)
    wire.send(b"0")
    wire.send(b"1")
    wire.arrive()
    wire.hear()
    assert [data for _, data in wire.out.waiting()] == [b"1"]
    wire.settle()
    wire.out.begin_again(wire.now_s)
    assert wire.out.waiting() == []


def test_what_the_sender_has_no_longer_is_counted_and_the_rest_goes_on():
    # 0 came; 1 2 lost; 30 s later 3 comes, and they are not kept any more
    wire = Wire()
    wire.send(b"0")
    wire.arrive()
    wire.send(b"1")
    wire.send(b"2")
    wire.lose()
    wire.now_s += KEPT_S + 1
    wire.send(b"3")
    wire.arrive()
    wire.hear()
    assert (wire.got, wire.come.lost, wire.out.unanswered) == ([b"0", b"3"], 2, False)


def test_no_more_is_kept_than_may_be():
    wire = Wire()
    for _ in range(5):
        wire.send(bytes(KEPT_BYTES // 4))
    assert len(wire.out.waiting()) == 4


def test_a_sender_is_forgotten_when_it_has_nothing_left_to_send_again():
    wire = Wire()
    wire.send(b"0")
    wire.arrive()
    assert wire.come.forget(wire.now_s + FORGET_S) == []
    assert len(wire.come.forget(wire.now_s + FORGET_S + 1)) == 1
    assert wire.come.forget(wire.now_s + FORGET_S + 1) == []
    assert FORGET_S > KEPT_S
    wire.now_s += FORGET_S + 1
    wire.send(b"1")
    wire.arrive()
    assert (wire.got, wire.come.lost) == ([b"0", b"1"], 0)


@given(st.binary(max_size=40))
def test_what_is_no_answer_is_passed_over(answer):
    out = Outgoing(0.0)
    out.add(b"0", 0.0)
    out.hear(answer, 0.0)
    assert len(out.waiting()) in (0, 1)
