"""The AsyncAPI 3.0 document of everything that goes over a socket, made from the types themselves.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
Five servers: the publisher (PUB), its replay port and the control port (ROUTER), where words come
from, and the clock of the host that sends them. Invariant: what Attune publishes and replies always
has every field of its schema, but `forwarded`; what it takes may leave out those with defaults.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streaming import clock_exchange, control, replay
from streaming.results import SCHEMA, Event, Health, Heartbeat, Result
from streaming.sources.text_message import LiveText, TextReply
from streaming.wire import always_sent

PUBLISHED = (Result, Event, Health, Heartbeat)
REPLAY_ASKED = (replay.ReplayRequest, replay.LatestRequest)
REPLAY_SAID = (replay.ReplayReply, replay.LatestReply, replay.Refusal)
CONTROL_ASKED = (
    control.ListRequest,
    control.AddRequest,
    control.PauseRequest,
    control.ResumeRequest,
    control.RemoveRequest,
)
CONTROL_SAID = (control.Done, control.Refused)
WORDS = (LiveText,)
WORDS_SAID = (TextReply,)
CLOCK_ASKED = (clock_exchange.ClockRequest,)
CLOCK_SAID = (clock_exchange.ClockReply,)
_STREAM = {"stream": {"description": "name of the stream: 1 to 64 letters, digits, _ . -"}}
_KIND = {"kind": {"description": "kind of the event, as docs/events.md lists them"}}


def document(version: str) -> dict[str, Any]:
    """The whole document; `version` is Attune's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Attune",
            "version": version,
            "description": f"Messages of schema {SCHEMA}: results, events and health of streams.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "publisher": _server("127.0.0.1:7100", "PUB socket; output.publish"),
            "replay": _server("127.0.0.1:7101", "ROUTER socket; heartbeats say where"),
            "control": _server("attune-control", "ROUTER socket, ipc or CURVE; control.address"),
            "words": _server("127.0.0.1:7200", "PULL or SUB socket, or WebSocket (answers)"),
            "clock": _server("127.0.0.1:7201", "ROUTER or REP socket; docs/clocks.md"),
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _server(host: str, description: str) -> dict[str, Any]:
    return {"host": host, "protocol": "zmq", "description": description}


def _channels() -> dict[str, Any]:
    return {
        "result": _channel("publisher", "result/{stream}", (Result,), _STREAM),
        "event": _channel("publisher", "event/{stream}/{kind}", (Event,), _STREAM | _KIND),
        "health": _channel("publisher", "health/{stream}", (Health,), _STREAM),
        "heartbeat": _channel("publisher", "heartbeat", (Heartbeat,), {}),
        "replay": _channel("replay", None, (*REPLAY_ASKED, *REPLAY_SAID), {}),
        "control": _channel("control", None, (*CONTROL_ASKED, *CONTROL_SAID), {}),
        "words": _channel("words", None, (*WORDS, *WORDS_SAID), {}),
        "clock": _channel("clock", None, (*CLOCK_ASKED, *CLOCK_SAID), {}),
    }


def _channel(
    server: str, address: str | None, kinds: tuple[type, ...], parameters: dict[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {k.__name__: {"$ref": f"#/components/messages/{k.__name__}"} for k in kinds},
    }
    return found | ({"parameters": parameters} if parameters else {})


def _operations() -> dict[str, Any]:
    """As AsyncAPI has it, from the point of view of Attune: it sends what it publishes."""
    sent = {
        f"publish{kind.__name__}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{kind.__name__.lower()}"},
        }
        for kind in PUBLISHED
    }
    answers = {
        "answerReplay": _answer("replay", REPLAY_ASKED, REPLAY_SAID),
        "answerControl": _answer("control", CONTROL_ASKED, CONTROL_SAID),
        "takeWords": _answer("words", WORDS, WORDS_SAID),
        "answerClock": _answer("clock", CLOCK_ASKED, CLOCK_SAID),
    }
    return sent | answers


def _answer(channel: str, asked: tuple[type, ...], said: tuple[type, ...]) -> dict[str, Any]:
    def refs(kinds: tuple[type, ...]) -> list[dict[str, str]]:
        return [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds]

    place = {"$ref": f"#/channels/{channel}"}
    return {
        "action": "receive",
        "channel": place,
        "messages": refs(asked),
        "reply": {"channel": place, "messages": refs(said)},
    }


def _messages() -> dict[str, Any]:
    replies = (*REPLAY_ASKED, *REPLAY_SAID, *CONTROL_ASKED, *CONTROL_SAID)
    kinds = (*PUBLISHED, *replies, *WORDS, *WORDS_SAID, *CLOCK_ASKED, *CLOCK_SAID)
    return {
        kind.__name__: {
            "summary": _first_line(kind),
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        }
        for kind in kinds
    }


def _schemas() -> dict[str, Any]:
    template = "#/components/schemas/{name}"
    said = (*PUBLISHED, *REPLAY_SAID, *CONTROL_SAID)
    _, sent = msgspec.json.schema_components(said, ref_template=template)
    for name, schema in sent.items():
        if name != "ModalityReceipt" and schema.get("type") == "object":
            schema["required"] = always_sent(schema)
    for kind in said:
        properties = sent[kind.__name__]["properties"]
        properties["schema"] = {"const": SCHEMA}
    asked = (*REPLAY_ASKED, *CONTROL_ASKED, *WORDS, *WORDS_SAID, *CLOCK_ASKED, *CLOCK_SAID)
    _, taken = msgspec.json.schema_components(asked, ref_template=template)
    return {name: _plain(schema) for name, schema in (taken | sent).items()}


def _plain(node: Any) -> Any:
    """The same with each discriminator as AsyncAPI wants it: the property's name alone."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _plain(value) for key, value in node.items()}
    told = found.get("discriminator")
    return found | {"discriminator": told["propertyName"]} if isinstance(told, dict) else found


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
