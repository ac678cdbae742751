"""The AsyncAPI document, held to messages as they are really sent and taken."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from streaming import clock_exchange, control, replay
from streaming.asyncapi import document
from streaming.clock_exchange import Asking
from streaming.health import Health, HealthKind
from streaming.replay import Ring
from streaming.settings import StreamSettings
from streaming.source_settings import CameraSettings, MediaSettings, TextSettings
from streaming.sources.text_message import LiveText, TextReply, read_message
from streaming.wire import Sequencer, encode
from tests.unit.test_wire import MESSAGES

DOCUMENT = document("0.0.0")
BASE = "urn:attune"
REGISTRY = Registry().with_resource(BASE, Resource(DOCUMENT, DRAFT202012))


def fits(kind: str, payload: bytes) -> bool:
    schema = {"$ref": f"{BASE}#/components/schemas/{kind}"}
    validator = jsonschema.Draft202012Validator(schema, registry=REGISTRY)
    return validator.is_valid(json.loads(payload))


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [r for value in node.values() for r in references(value)]
    return [r for value in node for r in references(value)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere():
    found = references(DOCUMENT)
    assert len(found) > 40
    for reference in found:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_a_discriminator_is_a_name_as_asyncapi_wants_it():
    sources = DOCUMENT["components"]["schemas"]["StreamSettings"]["properties"]["sources"]
    assert sources["items"]["discriminator"] == "kind"


def test_what_is_published_fits_its_channel():
    beat = Sequencer(1).heartbeat(5)
    for message in (*MESSAGES, beat):
        topic, payload = encode(message)
        kind = type(message).__name__
        assert fits(kind, payload)
        address = DOCUMENT["channels"][kind.lower()]["address"]
        assert len(address.split("/")) == len(topic.split(b"/"))
        spoilt = {k: v for k, v in json.loads(payload).items() if k != "seq"}
        assert not fits(kind, json.dumps(spoilt).encode())


def test_words_that_are_taken_fit_and_what_is_refused_does_not():
    for good in (
        b'{"text":"hello"}',
        b'{"text":"a","start":"2026-05-03T10:00:00.5+02:00","end":"2026-05-03T08:00:01Z"}',
        b'{"text":"a","start_ns":5,"end_ns":7,"speaker":"Eve","language":"en","is_final":false}',
    ):
        assert isinstance(read_message(good), LiveText)
        assert fits("LiveText", good)
    for reply in (TextReply(taken=True), TextReply(taken=False, error="no words")):
        assert fits("TextReply", msgspec.json.encode(reply))
    assert not fits("TextReply", b'{"error":"no words"}')
    for bad in (b'{"text":""}', b'{"start_ns":1}', b'{"text":"a","start_ns":-1}', b'["a"]'):
        assert isinstance(read_message(bad), str)
        assert not fits("LiveText", bad)


def test_what_is_asked_of_the_replay_port_and_what_it_says_fits():
    ring = Ring(span_ns=10**12, max_bytes=10**6)
    health = Health(stream="cam", epoch=7, seq=1, kind=HealthKind.GAP, t_ns=1)
    ring.add(*encode(health), now_ns=1)
    for asked, answered in (
        (replay.ReplayRequest(stream="cam", epoch=7, first=1, last=2), "ReplayReply"),
        (replay.ReplayRequest(stream="cam", epoch=8, first=1, last=2), "Refusal"),
        (replay.LatestRequest(), "LatestReply"),
    ):
        data = msgspec.json.encode(asked)
        assert fits(type(asked).__name__, data)
        assert fits(answered, ring.answer(data)[0])
    assert fits("Refusal", ring.answer(b"nonsense")[0])
    assert not fits(
        "ReplayRequest", b'{"type":"replay","stream":"cam","epoch":7,"first":0,"last":1}'
    )


def test_what_is_asked_of_a_clock_and_what_it_says_fits():
    question = Asking("tcp://there", 0).ask(0)
    assert fits("ClockRequest", question)
    assert clock_exchange.decode_request(question) is not None
    assert fits("ClockReply", b'{"type":"clock","id":1,"received_ns":-5,"replied_ns":7}')
    assert not fits("ClockReply", b'{"type":"clock","id":1,"received_ns":5}')
    assert not fits("ClockRequest", b'{"type":"clock"}')


@pytest.mark.parametrize(
    "source",
    [MediaSettings(url="a.mp4"), CameraSettings(), TextSettings(path="a.srt")],
    ids=["media", "camera", "text"],
)
def test_what_is_asked_of_the_control_port_and_what_it_says_fits(source):
    stream = StreamSettings(name="door", sources=(source,))
    for request in (control.AddRequest(stream=stream), control.PauseRequest(stream="door")):
        data = control.encode(request)
        assert fits(type(request).__name__, data)
        assert control.decode_request(data) == request
    done = control.Done(
        streams=(control.StreamState(name="door", state=control.State.PAUSED, last_index=None),)
    )
    assert fits("Done", control.encode(done))
    assert fits("Refused", control.encode(control.Refused(reason="no")))
    assert not fits("PauseRequest", b'{"type":"pause"}')
    assert not fits("AddRequest", b'{"type":"add","stream":{"name":"x y","sources":[]}}')
