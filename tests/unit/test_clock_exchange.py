"""Asking for another host's time: how often, which answers count, and what is told."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from round_trips import Host

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.clock_exchange import Asking, decode_request
from streaming.health import HealthKind

MS, S = NS_PER_MS, NS_PER_S
HOST = Host()


def answer(question: bytes, at_ns: int, host: Host = HOST, **changes: Any) -> bytes:
    request = decode_request(question)
    assert request is not None
    shown = host.at(at_ns)
    fields = {"type": "clock", "id": request.id, "received_ns": shown, "replied_ns": shown}
    return json.dumps(fields | changes).encode()


def asked(asking: Asking, count: int, host: Host = HOST) -> list[int]:
    """Exchanges with `host`, each at its time, 2 ms long; when they were due."""
    due = []
    for _ in range(count):
        now_ns = asking.due_ns
        due.append(now_ns)
        asking.hear(answer(asking.ask(now_ns), now_ns + MS, host), now_ns + 2 * MS)
    return due


def kinds(asking: Asking, now_ns: int) -> list[HealthKind]:
    return [kind for kind, _ in asking.news(now_ns)]


def test_questions_follow_each_other_fast_at_first_and_then_at_leisure():
    due = asked(Asking("tcp://there", S), 12)
    apart = [(b - a) // MS for a, b in pairwise(due)]
    assert apart == [52] * 7 + [252] * 4


def test_only_the_answer_to_the_open_question_counts():
    asking = Asking("tcp://there", S)
    old = asking.ask(S)
    open_one = asking.ask(asking.due_ns)  # two seconds later: the first was given up
    now_ns = S + 2 * S
    for wrong in (
        answer(old, now_ns),
        b"nonsense",
        b'{"type":"clock","id":2}',
        answer(open_one, now_ns, received_ns=2**70),
        answer(open_one, now_ns, replied_ns=None),
    ):
        asking.hear(wrong, now_ns)
        assert asking.clock.epoch == 0
    asking.hear(answer(open_one, now_ns + MS), now_ns + 2 * MS)
    assert asking.clock.epoch == 1
    found = asking.clock.at(HOST.at(now_ns + MS))
    asking.hear(answer(open_one, now_ns + S), now_ns + S)  # the same once more
    assert asking.clock.at(HOST.at(now_ns + MS)) == found


def test_a_host_that_falls_silent_is_told_of_once_and_so_is_its_return():
    # answers |- - - -| nothing for 10 s |- -
    asking = Asking("tcp://there", S)
    asked(asking, 9)
    heard_ns = asking.due_ns - 250 * MS
    assert kinds(asking, heard_ns + 3 * S) == []
    ((kind, detail),) = asking.news(heard_ns + 3 * S + 1)
    assert kind is HealthKind.DESYNCHRONISED
    assert detail.startswith("the clock at tcp://there: no usable answer for 3 s")
    asking.ask(heard_ns + 4 * S)
    asking.unsent(heard_ns + 4 * S)
    assert kinds(asking, heard_ns + 9 * S) == []
    asking.due_ns = heard_ns + 10 * S
    asked(asking, 1)
    assert kinds(asking, heard_ns + 10 * S) == [HealthKind.RECOVERED]


def test_answers_that_cannot_be_are_no_answers():
    asking = Asking("tcp://there", S)
    for _ in range(20):
        now_ns = asking.due_ns
        asking.hear(answer(asking.ask(now_ns), now_ns, replied_ns=-(2**62)), now_ns + MS)
    assert asking.clock.epoch == 0
    assert kinds(asking, asking.due_ns) == [HealthKind.DESYNCHRONISED]


@pytest.mark.parametrize("back_s", [7200, -7200])
def test_a_clock_that_was_set_is_asked_fast_and_told_of_once(back_s):
    asking = Asking("tcp://there", S)
    asked(asking, 20)
    stepped = Host(zero_ns=HOST.zero_ns - back_s * S)
    due = asked(asking, 4, stepped)
    assert [(b - a) // MS for a, b in pairwise(due)] == [52, 52, 52]
    ((kind, detail),) = asking.news(asking.due_ns)
    assert kind is HealthKind.CLOCK_JUMP
    assert detail == f"the clock at tcp://there: jumped by {-back_s:+.3f} s; epoch 2 begins"


def test_after_a_doubt_it_asks_at_once():
    asking = Asking("tcp://there", S)
    (*_, last_ns) = asked(asking, 20)
    asking.doubt()
    assert asking.due_ns == last_ns + 2 * MS + 50 * MS
