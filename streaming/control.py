"""Control: what a program may ask of a running Attune, and what it answers. JSON, both ways.

One request, one reply with the same `id`, over a ZeroMQ REQ or DEALER socket. docs/control.md has
the whole of it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from streaming.errors import WireError
from streaming.health import SCHEMA
from streaming.settings import StreamSettings
from streaming.undecodable import UNDECODABLE

REQUEST_BYTES = 65_536


class State(StrEnum):
    """What a stream does. One that is `ending` was told to, and what was read is on its way."""

    OPENING = "opening"
    RUNNING = "running"
    ENDING = "ending"
    PAUSED = "paused"
    ENDED = "ended"


class ListRequest(msgspec.Struct, frozen=True, kw_only=True, tag="list"):
    """Asks for all streams and what they do."""

    id: int = 0


class AddRequest(msgspec.Struct, frozen=True, kw_only=True, tag="add"):
    """Asks for a stream to be read from now on. A name whose stream has ended may come again."""

    stream: StreamSettings
    force: bool = False
    id: int = 0


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True, tag="pause"):
    """Asks for a stream's sources to be closed; what was read is still delivered."""

    stream: str
    id: int = 0


class ResumeRequest(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Asks for the sources of a paused stream to be opened again; time went on meanwhile."""

    stream: str
    id: int = 0


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True, tag="remove"):
    """Asks for a stream to be ended for good; what was read is still delivered."""

    stream: str
    id: int = 0


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """One stream. `sources`: their kinds; `last_index`: of the last settled window published."""

    name: str
    state: State
    sources: tuple[str, ...] = ()
    last_index: int | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """What was asked for is done; this is how the streams stand."""

    streams: tuple[StreamState, ...]
    id: int = 0
    schema: str = SCHEMA


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """It is not done, and nothing has changed; `reason` is one line."""

    reason: str
    id: int = 0
    schema: str = SCHEMA


Request = ListRequest | AddRequest | PauseRequest | ResumeRequest | RemoveRequest
Reply = Done | Refused

_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_REPLY: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_ENCODER = msgspec.json.Encoder()


def encode(message: Request | Reply) -> bytes:
    """The bytes of a request or a reply."""
    return _ENCODER.encode(message)


def decode_request(data: bytes) -> Request:
    """The request. Raises WireError that says what is wrong with it."""
    try:
        return _REQUEST.decode(data)
    except UNDECODABLE as error:
        raise WireError(f"not a request: {error}") from None


def decode_reply(data: bytes) -> Reply:
    """The reply. Raises WireError when it is none."""
    try:
        return _REPLY.decode(data)
    except UNDECODABLE as error:
        raise WireError(f"not a reply of {SCHEMA}: {error}") from None
