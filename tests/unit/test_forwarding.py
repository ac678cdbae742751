"""Forwarding: what each item of an upstream becomes downstream. Time is given by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from attune import forwarding
from attune.client import Delivery, Garbled
from attune.forward_places import read_places, write_places
from attune.forwarding import Forwarder, Place
from streaming.errors import SinkError
from streaming.forward_settings import ForwardSettings, UpstreamSettings
from streaming.health import Health, HealthKind, Hop
from streaming.holes import Hole, LostEnd, NewEpoch, Standing
from streaming.journal import Journal
from streaming.results import Heartbeat, Phase
from streaming.sinks import MemorySink, Publisher
from streaming.wire import MAX_PAYLOAD_BYTES, decode, encode
from tests.unit.test_wire import EVENT, RESULT

S = 10**9
OWN = 99  # the forwarder's own epoch
A, B = "tcp://a:7100", "tcp://b:7100"


class Stand:
    """A forwarder of two upstreams, into memory."""

    def __init__(self, *upstreams, places=None, sinks=(), left_open=(), **settings) -> None:
        self.sink, self.said = MemorySink(), []
        publisher = Publisher([*sinks, self.sink], unix_ns=lambda: OWN)
        publisher.left_open = lambda: left_open
        given = upstreams or (UpstreamSettings(address=A), UpstreamSettings(address=B, name="b"))
        self.forwarder = Forwarder(
            ForwardSettings(upstreams=given, **settings),
            publisher,
            0,
            places=places,
            say=self.said.append,
        )

    def feed(self, index, *items, at_s=0.0):
        for item in items:
            self.forwarder.take(index, item, round(at_s * S))

    def tick(self, at_s):
        self.forwarder.tick(round(at_s * S))

    def out(self):
        """What was published since the last time, without heartbeats."""
        messages = [m for m in self.sink.messages() if not isinstance(m, Heartbeat)]
        self.sink.sent.clear()
        return messages

    def told(self):
        """Kind and stream of the forwarder's own words, sequence numbers of the rest."""
        return [
            (m.stream, m.forwarded[-1].seq if m.forwarded else getattr(m, "kind", ""))
            for m in self.out()
        ]


def delivery(message, origin="live"):
    topic, payload = encode(message)
    return Delivery(topic=topic, payload=payload, message=message, origin=origin)


def result(seq, stream="cam", epoch=1, origin="live", **changes):
    changes = {"stream": stream, "epoch": epoch, "seq": seq, **changes}
    return delivery(replace(RESULT, **changes), origin)


def event(seq, phase, **changes):
    end_ns = 7 if phase is Phase.END else None
    changes = {"epoch": 1, "seq": seq, "phase": phase, "end_ns": end_ns, **changes}
    return delivery(replace(EVENT, **changes))


def health(seq, kind=HealthKind.GAP, epoch=1):
    return delivery(Health(stream="cam", epoch=epoch, seq=seq, kind=kind, t_ns=5))


def beat(last_seq, epoch=1):
    return delivery(Heartbeat(epoch=epoch, seq=1, last_seq=last_seq, published_unix_ns=0))


def hole(first, last, stream="cam", epoch=1):
    return Hole(stream=stream, epoch=epoch, first=first, last=last)


def test_messages_get_numbers_of_their_own_and_keep_the_way_they_came():
    # a   cam 4 5           published   cam 1 2
    # b   cam 9             published   b.cam 1
    stand = Stand()
    came = result(4)
    stand.feed(0, came, result(5))
    stand.feed(1, result(9, epoch=3))
    first, second, other = stand.out()
    assert [(m.stream, m.epoch, m.seq) for m in (first, second, other)] == [
        ("cam", OWN, 1), ("cam", OWN, 2), ("b.cam", OWN, 1)
    ]  # fmt: skip
    assert first.forwarded == (Hop(publisher=A, stream="cam", epoch=1, seq=4, published_unix_ns=0),)
    assert other.forwarded == (
        Hop(publisher="b", stream="cam", epoch=3, seq=9, published_unix_ns=0),
    )
    timing = replace(came.message.timing, published_unix_ns=OWN)
    changed = {"epoch": OWN, "seq": 1, "timing": timing, "forwarded": first.forwarded}
    assert first == replace(came.message, **changed)


def test_a_second_forwarder_keeps_the_first_publisher_first():
    near, far = Stand(), Stand()
    near.feed(1, result(4))
    (between,) = near.out()
    # The second run of a forwarder has an epoch of its own; in this test it would be the same.
    far.feed(0, delivery(replace(between, epoch=50)))
    (message,) = far.out()
    assert [(hop.publisher, hop.stream, hop.epoch, hop.seq) for hop in message.forwarded] == [
        ("b", "cam", 1, 4), (A, "b.cam", 50, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": OWN},
        {"forwarded": (Hop(publisher="x", stream="cam", epoch=OWN, seq=1, published_unix_ns=0),)},
        {"forwarded": (Hop(publisher="x", stream="s", epoch=1, seq=1, published_unix_ns=0),) * 8},
    ],
    ids=["itself", "through others", "too far"],
)
def test_what_goes_round_is_not_published_again(changes):
    stand = Stand()
    stand.feed(0, result(4, **changes), result(5, **changes))
    assert stand.out() == []
    assert stand.forwarder.figures[0].refused == 2
    assert sum("goes round" in line for line in stand.said) == 1


def test_what_comes_twice_goes_out_once():
    # a   3 4 3 4 5         (a replay port that answers with what was not asked for)
    stand = Stand()
    stand.feed(0, result(3), result(4), result(3, origin="mended"), result(4), result(5))
    assert stand.told() == [("cam", 3), ("cam", 4), ("cam", 5)]


def test_a_hole_that_nobody_can_mend_is_told_in_its_place_and_counted():
    # a   1 [2..4 gone] 5(mended) 6
    stand = Stand()
    stand.feed(0, result(1), hole(2, 4), result(5, origin="mended"), result(6))
    first, gap, *rest = stand.out()
    assert (gap.kind, gap.count, gap.stream) == (HealthKind.GAP, 3, "cam")
    assert gap.t_ns == first.end_ns
    assert gap.detail == f"messages 2 to 4 of {A} (epoch 1) are gone for good"
    assert not gap.forwarded
    assert [m.seq for m in (first, gap, *rest)] == [1, 2, 3, 4]
    figures = stand.forwarder.figures[0]
    assert (figures.forwarded, figures.mended, figures.gone) == (3, 1, 3)


def test_an_upstream_that_falls_silent_is_told_of_and_its_return_the_other_goes_on():
    # t        0    1    2    3    4    5
    # a        1                  |  2        away after 3 s; recovered before its message
    # b        1    2    3    4    5          undisturbed
    stand = Stand(away_s=3.0)
    stand.feed(0, result(1))
    for second in range(5):
        stand.feed(1, result(second + 1), at_s=second)
        stand.tick(second)
    stand.tick(3.9)
    assert stand.told() == [
        ("cam", 1), ("b.cam", 1), ("b.cam", 2), ("b.cam", 3), ("b.cam", 4),
        ("b.cam", 5), ("cam", HealthKind.SOURCE_LOST),
    ]  # fmt: skip
    assert [one.up for one in stand.forwarder.figures] == [False, True]
    stand.feed(0, beat({"cam": 1}), result(2), at_s=5)
    assert stand.told() == [("cam", HealthKind.RECOVERED), ("cam", 2)]
    assert stand.forwarder.figures[0].up


def test_a_stream_that_has_ended_loses_no_source():
    stand = Stand()
    stand.feed(0, result(1), health(2, HealthKind.STREAM_ENDED))
    stand.tick(4)
    stand.feed(0, beat({"cam": 2}, epoch=2), NewEpoch(epoch=2, previous=1), at_s=5)
    assert stand.told() == [("cam", 1), ("cam", 2)]


def test_what_was_lost_recovers_once():
    # a   1 (lost) (recovered) 2 = ended (away) (there again: nothing to tell)
    stand = Stand()
    stand.feed(0, result(1))
    stand.tick(4)
    stand.feed(0, health(2, HealthKind.STREAM_ENDED), at_s=5)
    stand.tick(9)
    stand.feed(0, beat({"cam": 2}), at_s=10)
    lost, recovered = HealthKind.SOURCE_LOST, HealthKind.RECOVERED
    assert stand.told() == [("cam", 1), ("cam", lost), ("cam", recovered), ("cam", 2)]


def test_an_upstream_that_never_came_is_said_to_the_operator():
    stand = Stand()
    stand.tick(2.9)
    assert stand.said == []
    stand.tick(3.1)
    assert stand.said == [f"nothing came from {A} for 3 s", "nothing came from b for 3 s"]


def test_a_publisher_that_is_started_anew_is_told_of_once_and_what_was_open_is_over():
    # b   epoch 1: event starts | epoch 2: (its end, which nobody sent) result 1
    stand = Stand()
    over = replace(event(1, Phase.END).message, seq=0)
    stand.feed(1, event(1, Phase.START), NewEpoch(epoch=2, previous=1))
    stand.feed(1, delivery(over, "concluded"), result(1, epoch=2))
    start, restarted, ended, anew = stand.out()
    assert restarted.kind is HealthKind.RESTARTED
    assert (ended.stream, ended.phase, ended.id) == ("b.cam", Phase.END, start.id)
    assert not ended.forwarded
    assert (anew.forwarded[-1].epoch, anew.forwarded[-1].seq) == (2, 1)
    assert stand.forwarder.places()["b"].last_seq == {"cam": 1}


def test_an_end_that_nobody_knows_is_a_gap_unless_the_stream_had_ended():
    # a   epoch 1: cam 1, ended; yard 1   |  epoch 2, without a journal
    stand = Stand()
    stand.feed(0, result(1), result(1, "yard"), health(2, HealthKind.STREAM_ENDED))
    stand.feed(0, *(LostEnd(stream=name, epoch=1, first=seq)
                    for name, seq in (("cam", 3), ("yard", 2), ("", 1))))  # fmt: skip
    _, _, _, told = stand.out()
    assert (told.stream, told.kind, told.count) == ("yard", HealthKind.GAP, 0)
    assert told.detail == f"not known what {A} sent from 2 on (epoch 1)"
    assert stand.said[1:] == [f"{A}: not known whether other streams had begun in 1"]


def test_an_ended_stream_that_comes_again_with_a_hole_begins_anew_first():
    # a   epoch 1: 1, ended | epoch 2: [1 gone] 2
    stand = Stand()
    stand.feed(0, result(1), health(2, HealthKind.STREAM_ENDED), NewEpoch(epoch=2, previous=1))
    stand.feed(0, hole(1, 1, epoch=2), result(2, epoch=2))
    assert stand.told() == [
        ("cam", 1), ("cam", 2), ("cam", HealthKind.RESTARTED), ("cam", HealthKind.GAP), ("cam", 2)
    ]  # fmt: skip


def test_what_an_earlier_forwarder_left_open_is_ended_first():
    left = replace(event(1, Phase.END).message, stream="b.cam")
    stand = Stand(left_open=(left,))
    stand.feed(0, result(1))
    ended, first = stand.out()
    assert (ended.stream, ended.phase, ended.seq) == ("b.cam", Phase.END, 1)
    assert first.forwarded


def test_a_name_belongs_to_who_published_it_first():
    # a   b.cam            b (prefix b.)   cam: refused, told once, with what to do
    stand = Stand()
    stand.feed(0, result(1, "b.cam"))
    stand.feed(1, result(1), result(2))
    stand.feed(0, result(2, "b.cam"))
    first, told, second = stand.out()
    assert [m.forwarded[0].publisher for m in (first, second)] == [A, A]
    assert (told.kind, told.stream) == (HealthKind.DROP, "b.cam")
    assert "NAME=" in told.detail
    assert stand.forwarder.figures[1].refused == 2
    assert sum("refused" in line for line in stand.said) == 1


def test_names_too_long_and_streams_and_events_too_many_are_refused_aloud(monkeypatch):
    monkeypatch.setattr(forwarding, "MOST_KINDS", 2)
    stand = Stand(UpstreamSettings(address=A, name="porch", max_streams=2))
    for stream in ("x" * 64, "one", "two", "three"):
        stand.feed(0, result(1, stream))
    assert stand.told() == [("porch.one", 1), ("porch.two", 1)]
    assert ["longer than 64" in stand.said[1], "max_streams" in stand.said[2]] == [True, True]
    single = Stand()
    single.feed(0, *(event(n, Phase.START, kind=f"e{n}") for n in (1, 2, 3)))
    single.feed(0, event(4, Phase.END, kind="e1"))
    assert single.told() == [("cam", 1), ("cam", 2), ("cam", 4)]


def test_what_cannot_be_read_is_told_once_a_second_and_in_whole():
    stand = Stand()
    stand.feed(0, result(1))
    stand.feed(0, *[Garbled(topic=b"result/cam", reason="no JSON")] * 3)
    stand.feed(0, Garbled(topic=b"\xff", reason="no JSON"))
    stand.tick(0.5)
    for at_s in (0.6, 0.7):
        stand.feed(0, Garbled(topic=b"result/cam", reason="no JSON"))
        stand.tick(at_s)
    stand.forwarder.close()
    _, first, second = stand.out()
    assert [(m.kind, m.count) for m in (first, second)] == [
        (HealthKind.CORRUPT, 3), (HealthKind.CORRUPT, 2)
    ]  # fmt: skip
    assert stand.forwarder.figures[0].garbled == 6


def test_what_grows_too_large_on_its_way_is_a_gap():
    stand = Stand()
    spare = MAX_PAYLOAD_BYTES - len(encode(result(1).message)[1])
    stand.feed(0, result(1, model="x" * spare), result(2))
    gap, second = stand.out()
    assert (gap.kind, gap.count) == (HealthKind.GAP, 1)
    assert second.forwarded[0].seq == 2


class Broken(MemorySink):
    def send(self, topic, payload):
        raise SinkError("the disk is full")


def test_a_sink_that_fails_is_left_out_and_told():
    stand = Stand(sinks=[Broken()])
    stand.feed(0, result(1), result(2))
    assert stand.told() == [("cam", 1), ("cam", HealthKind.SINK_FAILED), ("cam", 2)]
    assert stand.forwarder.failures == ["the disk is full"]


# Where it stood.


def test_places_hold_what_came_what_is_gone_and_what_heartbeats_said():
    stand = Stand()
    stand.feed(0, beat({"cam": 3, "old": 8}), result(4), hole(5, 6), result(1, "desk"))
    stand.feed(0, health(7, HealthKind.STREAM_ENDED), hole(2, 3, "desk"))
    assert stand.forwarder.places()[A] == Place(
        epoch=1, last_seq={"cam": 7, "old": 8, "desk": 3}, ended={"cam", "old"}
    )
    stand.feed(0, NewEpoch(epoch=2, previous=1), result(1, "desk", epoch=2))
    assert stand.forwarder.places()[A] == Place(epoch=2, last_seq={"desk": 1}, ended=set())


def test_who_goes_on_tells_of_streams_whose_publisher_is_away_and_owns_their_names():
    # before   a: cam 7, door ended       now   a away, b publishes nothing
    place = Place(epoch=1, last_seq={"cam": 7, "door": 2}, ended={"door"})
    stand = Stand(UpstreamSettings(address=A), UpstreamSettings(address=B), places={A: place})
    stand.feed(1, result(1))
    stand.tick(4)
    assert stand.told() == [("cam", HealthKind.DROP), ("cam", HealthKind.SOURCE_LOST)]
    stand.feed(0, result(5, origin="latest"), result(8), at_s=5)
    assert stand.told() == [("cam", HealthKind.RECOVERED), ("cam", 5), ("cam", 8)]
    assert stand.forwarder.places()[A].last_seq == {"cam": 8, "door": 2}


def test_the_journal_knows_what_came_after_the_places_were_written(tmp_path):
    # places   cam 2, far 9, old 8       journal   cam 1 2, far 3, desk 1, cam 3: ended
    path = str(tmp_path / "journal")
    bounds = {"span_ns": 10**12, "max_bytes": 10**7}
    stand, journal = Stand(), Journal(path, **bounds)
    way = (Hop(publisher="first", stream="s", epoch=5, seq=70, published_unix_ns=0),)
    stand.feed(0, result(1), result(2), result(3, "far"), beat({"cam": 2, "old": 8, "far": 9}))
    write_places(path, stand.forwarder.places())
    stand.feed(0, result(1, "desk", forwarded=way), health(3, HealthKind.STREAM_ENDED))
    stand.tick(4)
    for topic, payload in stand.sink.sent:
        message = decode(topic, payload)
        journal.add(OWN, getattr(message, "stream", ""), message.seq, (topic, payload))
    journal.close()
    assert read_places(path, **bounds)[A] == Place(
        epoch=1, last_seq={"cam": 3, "old": 8, "desk": 1, "far": 9}, ended={"cam", "old"}
    )
    assert (tmp_path / "journal.places").stat().st_mode & 0o077 == 0


def test_places_of_another_epoch_are_forgotten_and_damage_is_no_places(tmp_path):
    path = str(tmp_path / "journal")
    bounds = {"span_ns": 10**12, "max_bytes": 10**7}
    assert read_places(path, **bounds) == {}
    write_places(path, {A: Place(epoch=1, last_seq={"cam": 9})})
    stand, journal = Stand(), Journal(path, **bounds)
    stand.feed(0, result(1, "desk", epoch=2))
    journal.add(OWN, "desk", 1, stand.sink.sent[0])
    journal.close()
    assert read_places(path, **bounds) == {A: Place(epoch=2, last_seq={"desk": 1})}
    (tmp_path / "journal.places").write_bytes(b"\xff{")
    assert read_places(path, **bounds) == {A: Place(epoch=2, last_seq={"desk": 1})}
    with pytest.raises(SinkError, match="cannot write"):
        write_places(str(tmp_path / "missing" / "journal"), {})


def test_a_place_is_where_a_subscription_goes_on():
    assert Place(epoch=1, last_seq={"cam": 9}).standing == Standing(epoch=1, last_seq={"cam": 9})
