"""The wire: messages as topic and JSON payload, numbered so that a subscriber can see a hole.

Invariants: what `encode` lets out, `decode` takes in again, equal. No NaN or infinity reaches the
wire (JSON has neither, and null would mean something else). Each stream's messages of one epoch
are numbered 1, 2, 3, ... across results, events and health.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from streaming.errors import WireError
from streaming.results import SCHEMA, Event, Health, Heartbeat, Message, Result
from streaming.undecodable import UNDECODABLE

MAX_PAYLOAD_BYTES = 1_000_000
HEARTBEAT_TOPIC = "heartbeat"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# How messages begin that were written here: all that an envelope needs is there. Others may order
# their keys as they like, and are read twice.
_HEAD = re.compile(
    rb'\{"type":"[a-z]*","schema":"%s",("stream":"[^"\\]*",)?"epoch":\d+,"seq":\d+[,}]'
    % re.escape(SCHEMA.encode())
)

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class _Envelope(msgspec.Struct):
    """What every message of every schema version carries."""

    schema: str
    type: str
    epoch: int
    seq: int


class _Line(msgspec.Struct):
    topic: str
    message: msgspec.Raw


_ENVELOPE: msgspec.json.Decoder[_Envelope] = msgspec.json.Decoder(_Envelope)
_LINE: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)


def topic_of(message: Message) -> str:
    """`result/<stream>`, `event/<stream>/<kind>`, `health/<stream>` or `heartbeat`."""
    if isinstance(message, Heartbeat):
        return HEARTBEAT_TOPIC
    if isinstance(message, Result):
        return f"result/{_name(message.stream)}"
    if isinstance(message, Event):
        return f"event/{_name(message.stream)}/{_name(message.kind)}"
    return f"health/{_name(message.stream)}"


def encode(message: Message) -> tuple[bytes, bytes]:
    """`(topic, payload)`, fit to be sent as two frames."""
    topic = topic_of(message)
    payload = _ENCODER.encode(message)
    _require_small(payload, topic)
    try:
        faithful = _DECODER.decode(payload) == message
    except msgspec.ValidationError as error:
        _require_finite(message, topic)
        raise WireError(f"{topic}: this message breaks its own schema: {error}") from None
    if not faithful:  # msgspec writes NaN and infinity as null
        _require_finite(message, topic)
        raise WireError(f"{topic}: this message does not survive its own encoding")
    return topic.encode(), payload


def decode(topic: bytes, payload: bytes) -> Message:
    """The message in `payload`, checked against this schema and against its topic."""
    said = topic.decode("ascii", "backslashreplace")
    _require_small(payload, said)
    try:
        if _HEAD.match(payload) is None:
            _require_schema(_ENVELOPE.decode(payload).schema, said)
        message = _DECODER.decode(payload)
    except msgspec.ValidationError as error:
        raise WireError(f"{said}: not a message of schema {SCHEMA}: {error}") from None
    except UNDECODABLE as error:
        raise WireError(f"{said}: the payload is not JSON: {error}") from None
    _require_schema(message.schema, said)  # a key may come twice: the last one counts
    expected = topic_of(message)
    if expected != said:
        raise WireError(f"topic {said!r} does not fit its message, which belongs to {expected!r}")
    return message


def json_line(topic: bytes, payload: bytes) -> bytes:
    """One line for a file: the payload's bytes as they are, beside their topic."""
    return b'{"topic":"' + topic + b'","message":' + payload + b"}\n"


def parse_json_line(line: bytes) -> tuple[bytes, bytes]:
    """The topic and payload that `json_line` put together, byte for byte."""
    try:
        parsed = _LINE.decode(line)
    except UNDECODABLE as error:
        raise WireError(f'not a line of the form {{"topic", "message"}}: {error}') from None
    return parsed.topic.encode(), bytes(parsed.message)


class Sequencer:
    """Numbers the messages of one publisher run. `epoch`: its start, in unix nanoseconds.

    `replay`: the address of the replay port, for heartbeats to tell.
    """

    def __init__(self, epoch: int, replay: str = "") -> None:
        self.epoch = epoch
        self._replay = replay
        self._last_seq: dict[str, int] = {}
        self._beats = 0

    def stamp(
        self, message: Result | Event | Health, published_unix_ns: int
    ) -> Result | Event | Health:
        """A copy with epoch, the stream's next number and the time of publication."""
        seq = self._last_seq.get(message.stream, 0) + 1
        self._last_seq[message.stream] = seq
        timing = msgspec.structs.replace(message.timing, published_unix_ns=published_unix_ns)
        return msgspec.structs.replace(message, epoch=self.epoch, seq=seq, timing=timing)

    def heartbeat(self, published_unix_ns: int, *, final: bool = False) -> Heartbeat:
        """The next sign of life, with the last number of every stream."""
        self._beats += 1
        return Heartbeat(
            epoch=self.epoch,
            seq=self._beats,
            last_seq=dict(self._last_seq),
            published_unix_ns=published_unix_ns,
            replay=self._replay,
            final=final,
        )


def message_schema() -> dict[str, Any]:
    """The JSON Schema of every message. What is always sent is required."""
    kinds = (Result, Event, Health, Heartbeat)
    (union,), components = msgspec.json.schema_components([Message], ref_template="#/$defs/{name}")
    for name, component in components.items():
        if name != "ModalityReceipt" and component.get("type") == "object":
            component["required"] = always_sent(component)
    for kind in kinds:
        components[kind.__name__]["properties"]["schema"] = {"const": SCHEMA}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Messages of schema {SCHEMA}",
        **union,
        "$defs": components,
    }


def always_sent(component: Mapping[str, Any]) -> list[str]:
    """The properties that no message of a JSON Schema component lacks."""
    return [name for name in component["properties"] if name != "forwarded"]


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WireError(
            f"{name!r} cannot stand in a topic: use 1 to 64 letters, digits, '_', '.' or '-'"
        )
    return name


def _require_small(payload: bytes, topic: str) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(
            f"{topic}: the payload has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken"
        )


def _require_schema(schema: str, topic: str) -> None:
    if schema != SCHEMA:
        raise WireError(
            f"{topic}: the message has schema {schema!r}, this program speaks {SCHEMA!r}:"
            " bring both sides to the same version"
        )


def _require_finite(value: object, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise WireError(f"{path}: {value} is not a number that JSON can carry")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            _require_finite(getattr(value, field), f"{path}.{field}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _require_finite(inner, f"{path}.{key}")
