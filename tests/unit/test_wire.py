"""The wire: topics, round trips, refusals in one line, numbering, and holes."""

from __future__ import annotations

import json
import math

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.errors import WireError
from streaming.health import Health, HealthKind, Hop
from streaming.holes import Duplicate, Hole, HoleDetector, NewEpoch, Standing
from streaming.modality import Modality
from streaming.results import (
    EMOTIONS,
    Event,
    Heartbeat,
    ModalityReceipt,
    Phase,
    Result,
    Sentiment,
    Signals,
    Timing,
)
from streaming.states import ClosedBy, ViewState
from streaming.wire import (
    MAX_PAYLOAD_BYTES,
    Sequencer,
    decode,
    encode,
    json_line,
    message_schema,
    parse_json_line,
    topic_of,
)

RESULT = Result(
    stream="cam",
    epoch=1_700_000_000_000_000_001,
    seq=7,
    index=3,
    start_ns=1_500_000_000,
    end_ns=3_500_000_000,
    closed_by=ClosedBy.WATERMARK,
    sentiment=Sentiment(score=0.31, low=0.1, high=0.5),
    arousal=-0.1,
    emotions={name: round(1 / 7, 6) for name in EMOTIONS},
    modalities={
        Modality.AUDIO: ModalityReceipt(
            state=ViewState.COMPLETE, coverage=1.0, packets=4, contribution=0.2, sentiment=0.4
        ),
        Modality.TEXT: ModalityReceipt(state=ViewState.ABSENT, coverage=0.0, packets=0),
    },
    signals=Signals(faces=1, speech_share=0.5, loudness_dbfs=-23.4),
    model="shipped",
    timing=Timing(align_ms=2.5, total_ms=140.0),
)
EVENT = Event(
    stream="cam",
    id="speech-1",
    kind="speech",
    phase=Phase.END,
    start_ns=0,
    end_ns=32_000_000,
    label="speech",
    score=0.9,
    evidence={"peak_probability": 0.99, "ended_by": "over"},
)
HEALTH = Health(stream="cam", kind=HealthKind.GAP, t_ns=5, modality=Modality.AUDIO, count=2)
HEARTBEAT = Heartbeat(epoch=1, seq=1, last_seq={"cam": 7}, published_unix_ns=2)
HOP = Hop(publisher="porch", stream="cam", epoch=3, seq=9, published_unix_ns=5)
FORWARDED = [msgspec.structs.replace(m, forwarded=(HOP, HOP)) for m in (RESULT, EVENT, HEALTH)]
MESSAGES = [RESULT, EVENT, HEALTH, HEARTBEAT, *FORWARDED]


def replaced(struct, **changes):
    return msgspec.structs.replace(struct, **changes)


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (RESULT, "result/cam"),
        (EVENT, "event/cam/speech"),
        (HEALTH, "health/cam"),
        (HEARTBEAT, "heartbeat"),
    ],
)
def test_round_trip_under_its_topic(message, topic):
    sent_topic, payload = encode(message)
    assert sent_topic == topic.encode() == topic_of(message).encode()
    assert decode(sent_topic, payload) == message


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda x: replaced(RESULT, sentiment=Sentiment(score=x, low=0, high=0)), "sentiment.s"),
        (lambda x: replaced(RESULT, arousal=x), "arousal"),
        (lambda x: replaced(RESULT, emotions={"fear": x}), "emotions.fear"),
        (lambda x: replaced(RESULT, signals=Signals(loudness_dbfs=x)), "signals.loudness_dbfs"),
        (lambda x: replaced(RESULT, timing=Timing(total_ms=x)), "timing.total_ms"),
        (
            lambda x: replaced(
                RESULT,
                modalities={
                    Modality.AUDIO: ModalityReceipt(
                        state=ViewState.GAPPY, coverage=0.5, packets=1, contribution=x
                    )
                },
            ),
            "modalities.audio.contribution",
        ),
        (lambda x: replaced(EVENT, score=x), "score"),
        (lambda x: replaced(EVENT, evidence={"rise_db": x}), "evidence.rise_db"),
    ],
)  # fmt: skip
def test_no_number_that_is_none_reaches_the_wire(spoil, where, bad):
    with pytest.raises(WireError, match=rf"{where}\w*: -?(nan|inf) is not a number"):
        encode(spoil(bad))


def test_a_message_outside_its_own_ranges_is_not_sent():
    with pytest.raises(WireError, match="breaks its own schema"):
        encode(replaced(RESULT, arousal=1.5))


@pytest.mark.parametrize("name", ["", "a/b", "caf\u00e9", "two words", "x" * 65])
def test_names_that_cannot_stand_in_a_topic(name):
    with pytest.raises(WireError, match="cannot stand in a topic"):
        encode(replaced(EVENT, kind=name))
    with pytest.raises(WireError, match="cannot stand in a topic"):
        encode(replaced(HEALTH, stream=name))


def spoilt(**changes) -> bytes:
    return json.dumps({**json.loads(encode(RESULT)[1]), **changes}).encode()


def without(key: str) -> bytes:
    fields = json.loads(encode(RESULT)[1])
    del fields[key]
    return json.dumps(fields).encode()


def as_sent(part: bytes, instead: bytes, which: int = 1) -> bytes:
    """The bytes of a result, with the first or last `part` of them replaced."""
    payload = encode(RESULT)[1]
    assert part in payload
    if which < 0:
        head, _, tail = payload.rpartition(part)
        return head + instead + tail
    return payload.replace(part, instead, 1)


@pytest.mark.parametrize(
    ("topic", "payload", "says"),
    [
        (b"result/cam", spoilt(schema="attune/9"), "'attune/9', this program speaks 'attune/1'"),
        (b"result/cam", without("schema"), "missing required field `schema`"),
        (b"result/cam", without("seq"), "missing required field `seq`"),
        (b"result/cam", as_sent(b'"schema":"attune/1",', b""), "missing required field `schema`"),
        (b"result/cam", as_sent(b'"seq":7,', b""), "missing required field `seq`"),
        (b"result/cam", as_sent(b'"epoch":%d,' % RESULT.epoch, b""), "required field `epoch`"),
        (b"result/cam", as_sent(b"attune/1", b"attune/9"), "'attune/9', this program"),
        (b"result/cam", as_sent(b"}", b',"schema":"attune/9"}', -1), "'attune/9', this program"),
        (b"result/cam", spoilt(type="rumour"), "Invalid value 'rumour'"),
        (b"result/cam", spoilt(arousal=3), "arousal"),
        (b"result/cam", spoilt(stream="a b"), "cannot stand in a topic"),
        (b"result/cam", b'{"schema": ', "the payload is not JSON"),
        (b"result/cam", b"", "the payload is not JSON"),
        (b"result/cam", b"\xff\xfe{", "the payload is not JSON"),
        (b"result/cam", b"[1, 2]", "not a message of schema attune/1"),
        (b"result/cam2", encode(RESULT)[1], "belongs to 'result/cam'"),
        (b"event/cam/face", encode(EVENT)[1], "belongs to 'event/cam/speech'"),
        (b"\xff", encode(RESULT)[1], "belongs to 'result/cam'"),
        (b"result/cam", b" " * (MAX_PAYLOAD_BYTES + 1), "at most 1000000 are taken"),
    ],
)
def test_what_is_no_message_is_refused_in_one_line(topic, payload, says):
    with pytest.raises(WireError) as refusal:
        decode(topic, payload)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=2000))
def test_any_bytes_give_a_message_or_a_wire_error(topic, payload):
    with pytest.raises(WireError):
        decode(topic, payload)


@pytest.mark.parametrize(("message", "forwarded"), [*zip(MESSAGES, FORWARDED, strict=False)])
def test_what_nobody_forwarded_has_the_bytes_that_it_had(message, forwarded):
    payload, longer = encode(message)[1], encode(forwarded)[1]
    assert b"forwarded" not in payload
    hop = b'{"publisher":"porch","stream":"cam","epoch":3,"seq":9,"published_unix_ns":5}'
    assert longer == payload[:-1] + b',"forwarded":[' + hop + b"," + hop + b"]}"


def test_an_unknown_field_is_passed_over():
    assert decode(b"result/cam", spoilt(mood_ring="blue")) == RESULT


def test_oversize_is_not_sent_either():
    with pytest.raises(WireError, match="at most 1000000"):
        encode(replaced(HEALTH, detail="x" * MAX_PAYLOAD_BYTES))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_line_holds_the_very_bytes(message):
    topic, payload = encode(message)
    line = json_line(topic, payload)
    assert line.count(b"\n") == 1
    assert payload in line
    assert json.loads(line)["topic"] == topic.decode()
    assert parse_json_line(line) == (topic, payload)


@pytest.mark.parametrize("line", [b"", b"{}", b'{"topic": 3, "message": {}}', b"\xff"])
def test_a_line_of_another_form_is_refused(line):
    with pytest.raises(WireError, match="not a line of the form"):
        parse_json_line(line)


def test_numbers_run_per_stream_over_all_kinds_of_message():
    sequencer = Sequencer(epoch=99)
    other = replaced(RESULT, stream="desk")
    stamped = [sequencer.stamp(m, 1000 + i) for i, m in enumerate([RESULT, EVENT, other, HEALTH])]
    assert [m.seq for m in stamped] == [1, 2, 1, 3]
    assert {m.epoch for m in stamped} == {99}
    assert [m.timing.published_unix_ns for m in stamped] == [1000, 1001, 1002, 1003]
    assert stamped[0].timing.align_ms == 2.5
    beats = [sequencer.heartbeat(5), sequencer.heartbeat(6)]
    assert [b.seq for b in beats] == [1, 2]
    assert beats[0].last_seq == {"cam": 3, "desk": 1}


def test_the_schema_takes_what_is_sent_and_nothing_less():
    schema = message_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for message in MESSAGES:
        assert validator.is_valid(json.loads(encode(message)[1]))
    for payload in (spoilt(schema="attune/2"), without("seq"), without("epoch"), spoilt(arousal=2)):
        assert not validator.is_valid(json.loads(payload))


def hole(first, last, stream="cam", epoch=1):
    return Hole(stream=stream, epoch=epoch, first=first, last=last)


def test_a_hole_is_the_range_that_did_not_come():
    # seq  5 6 . . 9
    detector = HoleDetector()
    assert detector.feed(1, "cam", 5) == []  # joined late: what was before is no hole
    assert detector.feed(1, "cam", 6) == []
    assert detector.feed(1, "cam", 9) == [hole(7, 8)]
    assert detector.feed(1, "cam", 10) == []


def test_a_heartbeat_shows_a_hole_at_the_tail_once():
    detector = HoleDetector()
    detector.feed(1, "cam", 1)
    assert detector.beat(1, {"cam": 1}) == []
    assert detector.beat(1, {"cam": 3}) == [hole(2, 3)]
    assert detector.beat(1, {"cam": 3}) == []
    assert detector.feed(1, "cam", 4) == []


def test_who_heard_a_heartbeat_expects_a_new_stream_from_one():
    detector = HoleDetector()
    assert detector.beat(1, {"old": 40}) == []
    assert detector.feed(1, "old", 41) == []
    assert detector.feed(1, "cam", 3) == [hole(1, 2)]


def test_no_more_streams_are_remembered_than_one_heartbeat_names():
    # heartbeats that name 100 other streams each, which nobody ever hears
    detector = HoleDetector()
    for beat in range(50):
        named = {f"s{100 * beat + i}": 1 for i in range(100)}
        detector.take(Heartbeat(epoch=1, seq=beat + 1, last_seq=named, published_unix_ns=0))
    (turn,) = detector.beat(2, {})
    assert isinstance(turn, NewEpoch)
    assert len(turn.heard) == 100


def test_duplicates_are_told_apart():
    detector = HoleDetector()
    detector.feed(1, "cam", 1)
    detector.feed(1, "cam", 3)
    assert detector.feed(1, "cam", 3) == [Duplicate(stream="cam", epoch=1, seq=3)]
    assert detector.feed(1, "cam", 2) == [Duplicate(stream="cam", epoch=1, seq=2)]


def test_a_new_epoch_begins_at_one_for_every_stream():
    detector = HoleDetector()
    detector.feed(1, "cam", 50)
    detector.feed(1, "desk", 9)
    heard = {"cam": 50, "desk": 9}
    assert detector.feed(2, "cam", 1) == [NewEpoch(epoch=2, previous=1, heard=heard)]
    assert detector.feed(2, "desk", 2) == [hole(1, 1, "desk", 2)]
    turn = NewEpoch(epoch=3, previous=2, heard={"cam": 1, "desk": 2})
    assert detector.beat(3, {"cam": 2}) == [turn, hole(1, 2, epoch=3)]


def test_who_goes_on_where_another_stood_misses_what_came_between():
    # earlier   cam 1 .. 7 |                  and nothing of desk
    # now                      cam 8 9, desk 1, heartbeat
    standing = Standing(epoch=1, last_seq={"cam": 7})
    detector = HoleDetector()
    detector.resume(standing)
    assert detector.feed(1, "cam", 7) == [Duplicate(stream="cam", epoch=1, seq=7)]
    assert detector.beat(1, {"cam": 9, "desk": 1}) == [hole(8, 9), hole(1, 1, "desk")]
    assert standing.last_seq == {"cam": 7}
    detector.resume(standing)
    turn = NewEpoch(epoch=2, previous=1, heard={"cam": 7})
    assert detector.beat(2, {"cam": 1}) == [turn, hole(1, 1, epoch=2)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_number_comes_once_or_is_missing_once(data):
    """Sent: 1..n with a heartbeat after each; received: any part, from any point on."""
    n = data.draw(st.integers(1, 30))
    joined = data.draw(st.integers(1, n))
    got = data.draw(st.sets(st.integers(joined, n)))
    beats = data.draw(st.sets(st.integers(joined, n)))
    detector, notices = HoleDetector(), []
    for seq in range(joined, n + 1):
        if seq in got:
            notices += detector.take(replaced(HEALTH, epoch=1, seq=seq))
        if seq in beats or seq == n:
            beat = Heartbeat(epoch=1, seq=1, last_seq={"cam": seq}, published_unix_ns=0)
            notices += detector.take(beat)
    missing = [seq for h in notices for seq in range(h.first, h.last + 1)]
    first_known = min(got | {b for b in beats if b} | {n})
    assert missing == [s for s in range(first_known, n + 1) if s not in got and s > first_known]
