"""Subscribers over the change from one publisher to the next, over real sockets."""

from __future__ import annotations

import time

import msgspec

from attune.client import Delivery, Subscription
from benchmarks.publish import RESULT
from streaming.holes import NewEpoch, Standing
from streaming.journal import Journal
from streaming.open_events import PUBLISHER_LOST
from streaming.results import Event, Phase
from tests.integration.lossy_publisher import Setup, data, drain, note, seen


def test_the_end_of_an_epoch_comes_back_from_the_journal(address, tmp_path):
    # epoch A   cam  1 2 3 4 ✝        3 and 4 never came
    #           late     1 2 ✝        nothing of it came
    # epoch B                    1    the subscriber asks what else A had
    def begin(lost=()) -> Setup:
        journal = Journal(str(tmp_path / "journal"), span_ns=10**12, max_bytes=10**7)
        return Setup(address, lost, journal=journal)

    first = begin()
    with Subscription(address, ["cam", "late", "other"]) as subscription:
        first.attach(subscription)
        for _ in range(2):
            first.publisher.publish(note())
        assert seen(drain(subscription)) == [(1, "live"), (2, "live")]
        first.sink.lost = frozenset({1, 2, 3, 4})
        for stream in ("cam", "cam", "late", "late", "unwanted"):
            first.publisher.publish(note(stream))
        first.sink.close()  # without the last heartbeat: it was killed
        first.server.close()
        second = begin()
        until = time.monotonic() + 20
        items: list = []
        while not any(isinstance(i, NewEpoch) for i in items):
            second.publisher.publish(note("other"))
            items += subscription.receive(200)
            assert time.monotonic() < until
        second.publisher.close()
    mended = [i for i in items if isinstance(i, Delivery) and i.origin == "mended"]
    turn = next(i for i in items if isinstance(i, NewEpoch))
    before = [i for i in mended if items.index(i) < items.index(turn)]
    assert [(i.message.stream, i.message.seq) for i in before] == [
        ("cam", 3), ("cam", 4), ("late", 1), ("late", 2)
    ]  # fmt: skip


def test_an_event_of_a_publisher_that_was_killed_is_over(address):
    # epoch A   face-1 |--- speech-1 |--- ✝
    # epoch B                               end of face-1, a note     so speech-1 is over, too
    def event(kind: str, phase: Phase) -> Event:
        over = phase is Phase.END
        return Event(stream="cam", id=f"{kind}-1", kind=kind, phase=phase, start_ns=1,
                     end_ns=9 if over else None, label=kind, score=1.0,
                     evidence={"ended_by": PUBLISHER_LOST} if over else {})  # fmt: skip

    first = Setup(address)
    with Subscription(address) as subscription:
        first.attach(subscription)
        first.publisher.publish(event("face", Phase.START))
        first.publisher.publish(event("speech", Phase.START))
        assert seen(drain(subscription)) == [(1, "live"), (2, "live")]
        first.sink.close()  # without a last word: it was killed
        first.server.close()
        second = Setup(address)
        second.publisher.publish(event("face", Phase.END))
        second.publisher.publish(note())
        items = second.attach(subscription)
        second.publisher.close()
    ends = [
        (i.message.epoch, i.message.id, i.origin, i.message.evidence["ended_by"])
        for i in items
        if isinstance(i, Delivery) and isinstance(i.message, Event)
    ]
    before, now = first.publisher.epoch, second.publisher.epoch
    assert [end[:2] for end in ends] == [(now, "face-1"), (before, "speech-1")]
    assert ends[0][2] in ("live", "mended")
    assert ends[1][2:] == ("concluded", PUBLISHER_LOST)


def published_until_held(setup: Setup, subscription: Subscription) -> int:
    """Publish, without a heartbeat, until something has come; the last number."""
    limit_s = time.monotonic() + 20
    while not subscription._reception.held:
        last = setup.publisher.publish(msgspec.structs.replace(RESULT, stream="cam")).seq
        assert subscription.receive(20) == []
        assert time.monotonic() < limit_s
    return last


def test_who_wants_nothing_twice_holds_what_comes_until_it_knows_where_to_ask(address):
    # published   1 2 ... n             n is a result, and comes live
    # heartbeat                | n      only now the state can be asked for: it is n as well
    # told                     | n
    setup = Setup(address)
    with Subscription(address, latest=True, since=Standing()) as subscription:
        last = published_until_held(setup, subscription)
        items = setup.attach(subscription)
    setup.publisher.close()
    assert seen(items) == [(last, "latest")]


def test_who_goes_on_where_another_stood_gets_what_came_between_once(address):
    # another     1 2                   began again at the latest state of then
    # this one        3 ... n           mended up to the first that it held
    setup = Setup(address)
    setup.publisher.publish(msgspec.structs.replace(RESULT, stream="idle"))
    standing = Standing(epoch=setup.publisher.epoch, last_seq={"cam": 2, "idle": 1})
    for _ in range(3):
        setup.publisher.publish(note())
    with Subscription(address, latest=True, since=standing) as subscription:
        last = published_until_held(setup, subscription)
        items = setup.attach(subscription)
    setup.publisher.close()
    told = [(i.message.stream, *come) for i, come in zip(data(items), seen(items), strict=True)]
    assert told[0] == ("idle", 1, "latest")
    assert [seq for stream, seq, _ in told[1:]] == list(range(3, last + 1))
    assert {stream for stream, *_ in told[1:]} == {"cam"}
