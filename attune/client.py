"""The subscriber: what a publisher sends, decoded, with every hole named.

A plain ZeroMQ SUB socket and nothing of the analyser, so it starts in a blink. Invariant: messages
come in the order in which they were sent, and what did not come is said by a `Hole` in its place.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence

import msgspec
import zmq

from streaming.errors import UsageError, WireError
from streaming.holes import Duplicate, Hole, HoleDetector, NewEpoch
from streaming.results import Heartbeat, Message
from streaming.wire import HEARTBEAT_TOPIC, decode

# Messages kept here while the caller is busy; beyond it the newest are lost, and show as a hole.
RECEIVE_HIGH_WATER_MARK = 10_000
POLL_MS = 200

# As in streaming/sinks/zeromq.py: a context collected as garbage would wait without end.
_CONTEXTS: set[zmq.Context[zmq.Socket[bytes]]] = set()

_ADDRESS = re.compile(r"tcp://(\[[0-9A-Fa-f:.%\w]+\]|[^/:\[\]\s*]+):\d{1,5}|ipc://.+")
_STREAM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message, with the bytes it came as."""

    topic: bytes
    payload: bytes
    message: Message


class Garbled(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes came that are no message of this schema; `reason` is one line."""

    topic: bytes
    reason: str


Item = Delivery | Hole | NewEpoch | Garbled


class Subscription:
    """A connection to one publisher. Use as a context manager; `receive` never blocks for long."""

    def __init__(self, address: str, streams: Sequence[str] | None = None) -> None:
        require_address(address)
        self._streams = None if streams is None else frozenset(map(_require_stream, streams))
        self._detector = HoleDetector()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        _CONTEXTS.add(self._context)
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, RECEIVE_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, int("[" in address))
        for prefix in _prefixes(streams):
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix)
        self._connect(address)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close(0)
        self._context.term()
        _CONTEXTS.discard(self._context)

    def receive(self, timeout_ms: int = POLL_MS) -> list[Item]:
        """What one message amounts to: it, and before it the holes it shows. Empty: none came."""
        until_s = time.monotonic() + timeout_ms / 1000
        left_ms = timeout_ms
        while left_ms >= 0 and self._socket.poll(left_ms):
            items = self._take(self._socket.recv_multipart())
            if items:
                return items
            left_ms = round((until_s - time.monotonic()) * 1000)
        return []

    def _connect(self, address: str) -> None:
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise UsageError(f"cannot subscribe to {address!r}: {error.strerror}") from None

    def _take(self, frames: list[bytes]) -> list[Item]:
        """The items of one message; none when it is of another stream or came before."""
        if len(frames) != 2:
            return [Garbled(topic=frames[0], reason=f"expected 2 frames, {len(frames)} came")]
        topic, payload = frames
        if not self._wanted(topic):
            return []
        try:
            message = decode(topic, payload)
        except WireError as error:
            return [Garbled(topic=topic, reason=str(error))]
        notices = self._detector.take(self._of_interest(message))
        told = [notice for notice in notices if not isinstance(notice, Duplicate)]
        if len(told) < len(notices):
            return [*told]
        return [*told, Delivery(topic=topic, payload=payload, message=message)]

    def _wanted(self, topic: bytes) -> bool:
        """ZeroMQ filters by prefix, so `result/cam` lets `result/cam2` through."""
        if self._streams is None or topic == HEARTBEAT_TOPIC.encode():
            return True
        parts = topic.decode("ascii", "replace").split("/")
        return len(parts) > 1 and parts[1] in self._streams

    def _of_interest(self, message: Message) -> Message:
        if self._streams is None or not isinstance(message, Heartbeat):
            return message
        kept = {name: seq for name, seq in message.last_seq.items() if name in self._streams}
        return msgspec.structs.replace(message, last_seq=kept)


def subscribe(
    address: str,
    streams: Sequence[str] | None = None,
    *,
    stop: threading.Event | None = None,
    idle_s: float | None = None,
) -> Iterator[Item]:
    """Every message of `streams` (None: all) as it comes, heartbeats and holes among them.

    Ends when `stop` is set, or when nothing at all came for `idle_s` seconds.
    """
    with Subscription(address, streams) as subscription:
        heard_s = time.monotonic()
        while stop is None or not stop.is_set():
            items = subscription.receive()
            yield from items
            if items:
                heard_s = time.monotonic()
            elif idle_s is not None and time.monotonic() - heard_s >= idle_s:
                return


def require_address(address: str) -> None:
    """Refuse what cannot be an address, in one line."""
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"cannot subscribe to {address!r}: expected an address like tcp://127.0.0.1:7100"
            " or ipc:///tmp/attune"
        )


def _require_stream(stream: str) -> str:
    if not _STREAM.fullmatch(stream):
        raise UsageError(
            f"{stream!r} cannot be a stream: use 1 to 64 letters, digits, '_', '.' or '-'"
        )
    return stream


def _prefixes(streams: Sequence[str] | None) -> list[bytes]:
    if streams is None:
        return [b""]
    kinds = (f"{kind}/{name}" for name in streams for kind in ("result", "event", "health"))
    return [HEARTBEAT_TOPIC.encode(), *(kind.encode() for kind in kinds)]
