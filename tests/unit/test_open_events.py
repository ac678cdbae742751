"""Events that are open: what a successor has to end, and what a subscriber has to take as over."""

from __future__ import annotations

from plain_result import plain_result

from streaming.health import Health, HealthKind
from streaming.open_events import NOT_HEARD, PUBLISHER_LOST, OpenEvents
from streaming.results import Event, Heartbeat, Message, Phase, Result


def event(name: str, phase: Phase, *, epoch: int = 1, stream: str = "cam") -> Event:
    return Event(
        stream=stream,
        epoch=epoch,
        seq=5,
        id=name,
        kind=name.split("-")[0],
        phase=phase,
        start_ns=40,
        end_ns=50 if phase is Phase.END else None,
        label="x",
        score=0.5,
        evidence={"frames": 3.0},
    )


def result(end_ns: int, *, epoch: int = 1) -> Result:
    return plain_result(0, end_ns, epoch=epoch)


def ended(kind: HealthKind = HealthKind.STREAM_ENDED) -> Health:
    return Health(stream="cam", epoch=1, kind=kind, t_ns=0)


def beat(epoch: int) -> Heartbeat:
    return Heartbeat(epoch=epoch, seq=1, last_seq={}, published_unix_ns=0)


def fed(*messages: Message) -> tuple[OpenEvents, list[Event]]:
    tracked = OpenEvents()
    return tracked, [event for message in messages for event in tracked.take(message)]


START, UPDATE, END = Phase.START, Phase.UPDATE, Phase.END


def test_what_is_open_ends_where_its_stream_had_come_to():
    # face     |40------------------- 2000 lost
    # speech        |40--- 50|
    tracked, over = fed(
        event("face-1", START),
        event("speech-1", START),
        event("face-1", UPDATE),
        event("speech-1", END),
        result(2000),
    )
    assert over == []
    (end,) = tracked.ends()
    assert (end.id, end.phase, end.start_ns, end.end_ns, end.seq) == ("face-1", END, 40, 2000, 0)
    assert end.evidence == {"frames": 3.0, "ended_by": PUBLISHER_LOST}
    assert tracked.ends("cam") == (end,)
    assert tracked.ends("desk") == ()


def test_no_end_lies_before_its_beginning():
    tracked, _ = fed(result(30), event("face-1", START))
    assert tracked.ends()[0].end_ns == 40


def test_a_new_epoch_ends_what_it_did_not_end_itself():
    # epoch 1   face-1 ... speech-1 ... ✝
    # epoch 2                             end of face-1, result      speech-1: over by now
    tracked, over = fed(
        event("face-1", START), event("speech-1", START), event("face-1", END, epoch=2)
    )
    assert over == []
    assert [(e.id, e.epoch, e.evidence["ended_by"]) for e in tracked.take(result(9, epoch=2))] == [
        ("speech-1", 1, PUBLISHER_LOST)
    ]
    assert tracked.take(result(10, epoch=2)) == []


def test_the_first_heartbeat_of_a_new_epoch_ends_what_its_streams_no_longer_can():
    tracked, _ = fed(event("face-1", START), event("face-3", START, stream="gone"))
    assert tracked.take(beat(1)) == []
    assert [e.stream for e in tracked.take(beat(2))] == ["cam", "gone"]


def test_the_same_id_in_another_epoch_is_another_event():
    tracked, _ = fed(event("face-1", START))
    (over,) = tracked.take(event("face-1", START, epoch=2))
    assert (over.epoch, over.phase) == (1, END)
    assert [e.epoch for e in tracked.ends()] == [2]


def test_an_end_that_was_not_heard_shows_by_the_next_of_its_kind_or_the_end_of_the_stream():
    # speech-1 ---?     speech-2 ------ stream_ended
    tracked, _ = fed(event("speech-1", START), event("face-1", START))
    (first,) = tracked.take(event("speech-2", UPDATE))
    assert (first.id, first.evidence["ended_by"]) == ("speech-1", NOT_HEARD)
    assert tracked.take(ended(HealthKind.RESTARTED)) == []
    assert [e.id for e in tracked.take(ended())] == ["face-1", "speech-2"]
    assert tracked.ends() == ()


def test_an_end_of_something_else_ends_nothing():
    tracked, _ = fed(event("speech-2", START), event("speech-1", END))
    assert [e.id for e in tracked.ends()] == ["speech-2"]
