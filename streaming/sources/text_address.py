"""Addresses of words, taken apart and checked before anything is opened.

Invariant: what goes beyond this machine is encrypted and knows its peer: CURVE keys for ZeroMQ, TLS
for WebSocket.
"""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from streaming.errors import SourceError
from streaming.redact import redacted
from streaming.sinks.zeromq import is_loopback
from streaming.source_settings import TextSettings
from streaming.sources.text_port import CUT_BYTES

BYTES_PER_MB = 1_000_000
FORMS = (
    "zmq+sub://HOST:PORT/TOPIC, zmq+pull://HOST:PORT, ws://HOST:PORT/PATH, wss://..., "
    "ws+listen://HOST:PORT or wss+listen://HOST:PORT"
)
_ZMQ = re.compile(
    r"zmq\+(?P<way>sub|pull)(?:://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]\s*]+):(?P<port>\d{1,5})"
    r"(?:/(?P<topic>\S*))?|\+ipc://(?P<path>\S+))"
)
_LISTEN = re.compile(r"wss?\+listen://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]\s*]+):(?P<port>\d{1,5})")
_CLOCK = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]\s*]+):(?P<port>\d{1,5})|ipc://\S+")


class Way(StrEnum):
    """How words are fetched."""

    SUB = "sub"
    PULL = "pull"
    WEBSOCKET = "websocket"
    LISTEN = "listen"


class TextAddress(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoint`: as the socket's library takes it; `name`: fit to be shown. `waiting`: messages
    of the largest size that wait to be read, at most."""

    way: Way
    endpoint: str
    name: str
    topic: str = ""
    local: bool
    waiting: int = 1


def parse_address(settings: TextSettings) -> TextAddress:
    """The address in `settings.path`; `SourceError` where it is none, or not safe."""
    scheme = settings.path.partition("://")[0].lower()
    read = {"ws": _websocket, "wss": _websocket, "ws+listen": _listen, "wss+listen": _listen}
    found = read.get(scheme, _zeromq)(settings)
    if found.way in (Way.WEBSOCKET, Way.LISTEN) and settings.keys:
        raise SourceError(
            f"{found.name}: keys are for zmq+sub and zmq+pull; a WebSocket is encrypted as "
            f"{'wss://' if found.way is Way.WEBSOCKET else 'wss+listen://'}"
        )
    if found.way is not Way.LISTEN and (
        settings.token_file or settings.certificate or settings.origins
    ):
        raise SourceError(
            f"{found.name}: token_file, certificate and origins are for WebSockets served here, "
            "ws+listen://HOST:PORT"
        )
    _require_clock(settings, found.name)
    waiting = int(settings.waiting_mb * BYTES_PER_MB / CUT_BYTES)
    return msgspec.structs.replace(found, waiting=waiting)


def _require_clock(settings: TextSettings, name: str) -> None:
    """Refuse a clock that cannot be asked, or whose times would not be used."""
    if not settings.clock:
        if settings.clock_keys:
            raise SourceError(f"{name}: clock_keys are for a clock; set clock: tcp://HOST:PORT")
        return
    match = _CLOCK.fullmatch(settings.clock)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise SourceError(
            f"{name}: unknown clock {settings.clock!r}; expected tcp://HOST:PORT or ipc://PATH"
        )
    if not settings.late_ms:
        raise SourceError(
            f"{name}: with a clock words are dated when they were said; expected late_ms, how "
            "long after it they may come, such as late_ms: 2000"
        )
    host = match["host"]
    if not (host is None or is_loopback(host.strip("[]")) or settings.clock_keys):
        raise SourceError(
            f"{name}: without keys only clocks on this machine are asked: anybody on the network "
            "could set the time. Make keys with attune keys, set clock_keys: DIR"
        )


def _zeromq(settings: TextSettings) -> TextAddress:
    name = redacted(settings.path)
    match = _ZMQ.fullmatch(settings.path)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise SourceError(f"{name}: unknown address of words; expected {FORMS}")
    way, host = Way(match["way"]), match["host"]
    local = host is None or is_loopback(host.strip("[]"))
    if not local and not settings.keys:
        raise SourceError(
            f"{name}: without keys only addresses of this machine are taken: words would pass "
            "the network for all to read and write. Make keys with attune keys, set keys: DIR"
        )
    if way is Way.PULL and match["topic"]:
        raise SourceError(f"{name}: only zmq+sub has topics; leave out /{match['topic']}")
    endpoint = f"ipc://{match['path']}" if host is None else f"tcp://{host}:{match['port']}"
    return TextAddress(
        way=way, endpoint=endpoint, name=name, topic=match["topic"] or "", local=local
    )


def _websocket(settings: TextSettings) -> TextAddress:
    name = redacted(settings.path)
    try:
        parts = urlsplit(settings.path)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or re.search(r"\s", settings.path):
        raise SourceError(f"{name}: unknown address of words; expected {FORMS}")
    local = is_loopback(host)
    if not local and parts.scheme.lower() == "ws":
        raise SourceError(
            f"{name}: ws:// is taken on this machine only, for it is not encrypted; use wss://"
        )
    return TextAddress(way=Way.WEBSOCKET, endpoint=settings.path, name=name, local=local)


def _listen(settings: TextSettings) -> TextAddress:
    name = redacted(settings.path)
    match = _LISTEN.fullmatch(settings.path)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise SourceError(f"{name}: unknown address of words; expected {FORMS}")
    local, encrypted = is_loopback(match["host"].strip("[]")), name.startswith("wss")
    if not local and not (encrypted and settings.token_file):
        raise SourceError(
            f"{name}: beyond this machine anybody could read and post words; expected "
            "wss+listen:// with token_file: FILE and certificate: FILE, or "
            "ws+listen://127.0.0.1:PORT"
        )
    if encrypted != bool(settings.certificate):
        raise SourceError(
            f"{name}: certificate: FILE, a PEM file with certificate and key, belongs to "
            "wss+listen:// and only there"
        )
    return TextAddress(way=Way.LISTEN, endpoint=settings.path, name=name, local=local)
