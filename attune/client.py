"""The subscriber: what a publisher sends, decoded, with every hole mended or named.

ZeroMQ sockets and nothing of the analyser, so it starts in a blink. Invariant: messages come in the
order in which they were sent. What was missed is asked for at the replay port that heartbeats name,
and delivered in its place; what is gone for good is said by a `Hole` in its place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import zmq

from attune.addresses import beside, prefixes, require_address, require_stream
from attune.mending import Mender
from attune.reception import Delivery, Garbled, Item, Reception
from streaming.errors import UsageError
from streaming.holes import Standing
from streaming.keys import read_client_keys, use_keys
from streaming.wire import MAX_PAYLOAD_BYTES

# Messages kept here while the caller is busy; beyond it the newest are lost, and show as a hole.
RECEIVE_HIGH_WATER_MARK = 10_000
POLL_MS = 200
SILENT_S = 5.0  # heartbeats come every second unless the publisher was told otherwise

# As in streaming/sinks/zeromq.py: a context collected as garbage would wait without end.
_CONTEXTS: set[zmq.Context[zmq.Socket[bytes]]] = set()

__all__ = [
    "Delivery",
    "Garbled",
    "Item",
    "Subscription",
    "subscribe",
    "subscribe_async",
]


class Subscription:
    """A connection to one publisher. Use as a context manager; `receive` never blocks for long.

    `mend`: fetch what was missed. `latest`: begin with the last result of every stream and the
    events that are open. `keys`: folder with this subscriber's CURVE keys, where the publisher
    asks for them. `since`: go on where an earlier subscription stood. Then what comes before the
    first heartbeat, which says where to ask, is held until that is here, and so nothing comes
    twice; and what `latest` brings is only what was there at that time. `waiting`: messages that
    are kept while the caller is busy.
    """

    def __init__(
        self,
        address: str,
        streams: Sequence[str] | None = None,
        *,
        mend: bool = True,
        latest: bool = False,
        keys: Path | str | None = None,
        since: Standing | None = None,
        waiting: int = RECEIVE_HIGH_WATER_MARK,
    ) -> None:
        require_address(address)
        self._address, self._waiting = address, waiting
        self._keys = None if keys is None else read_client_keys(Path(keys))
        self._streams = None if streams is None else frozenset(map(require_stream, streams))
        self._reception = Reception(
            self._port, self._streams, mend=mend, latest=latest, since=since, waiting=waiting
        )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        _CONTEXTS.add(self._context)
        self._silent_from_s: float | None = None
        self._socket = self._connected()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._reception.close()
        self._socket.close(0)
        self._context.term()
        _CONTEXTS.discard(self._context)

    def receive(self, timeout_ms: int = POLL_MS) -> list[Item]:
        """What one message amounts to: it, and before it the holes it shows. Empty: none came."""
        return list(self.read(timeout_ms))

    def read(self, timeout_ms: int = POLL_MS) -> Iterator[Item]:
        """As `receive`, one by one as they are fetched: what was missed may be much."""
        until_s = time.monotonic() + timeout_ms / 1000
        left_ms, found = timeout_ms, False
        while not found and left_ms >= 0 and self._socket.poll(left_ms):
            self._silent_from_s = None
            for item in self._reception.items(self._socket.recv_multipart()):
                found = True
                yield item
            left_ms = round((until_s - time.monotonic()) * 1000)
        if not found:
            self._mind_silence()

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, self._waiting)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_PAYLOAD_BYTES)  # beyond it the connection is closed
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, int("[" in self._address))
        for prefix in prefixes(self._streams):
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        use_keys(socket, self._keys)
        try:
            socket.connect(self._address)
        except zmq.ZMQError as error:
            socket.close(0)
            self._context.term()
            _CONTEXTS.discard(self._context)
            raise UsageError(f"cannot subscribe to {self._address!r}: {error.strerror}") from None
        return socket

    def _mind_silence(self) -> None:
        """Connect anew after a long silence: libzmq gives up for good where bytes arrive broken."""
        now_s = time.monotonic()
        if self._silent_from_s is None:
            self._silent_from_s = now_s
        elif now_s - self._silent_from_s >= SILENT_S:
            self._silent_from_s = None
            self._socket.close(0)
            self._socket = self._connected()

    def _port(self, told: str) -> Mender | None:
        """The replay port that a heartbeat told; None where that is no address."""
        with suppress(zmq.ZMQError):
            return Mender(self._context, beside(self._address, told), self._keys)
        return None


def subscribe(
    address: str,
    streams: Sequence[str] | None = None,
    *,
    mend: bool = True,
    latest: bool = False,
    keys: Path | str | None = None,
    stop: threading.Event | None = None,
    idle_s: float | None = None,
) -> Iterator[Item]:
    """Every message of `streams` (None: all) as it comes, heartbeats and holes among them.

    `mend`, `latest` and `keys` as in `Subscription`. Ends when `stop` is set, or when nothing at
    all came for `idle_s` seconds.
    """
    with Subscription(address, streams, mend=mend, latest=latest, keys=keys) as subscription:
        heard_s = time.monotonic()
        while stop is None or not stop.is_set():
            items = subscription.receive()
            yield from items
            if items:
                heard_s = time.monotonic()
            elif idle_s is not None and time.monotonic() - heard_s >= idle_s:
                return


async def subscribe_async(
    address: str,
    streams: Sequence[str] | None = None,
    *,
    mend: bool = True,
    latest: bool = False,
    keys: Path | str | None = None,
) -> AsyncIterator[Item]:
    """As `subscribe`, for asyncio; it ends when its task is cancelled or the loop is left.

    The socket is read in a thread. While the caller is busy, messages wait in ZeroMQ's queue.
    """
    with Subscription(address, streams, mend=mend, latest=latest, keys=keys) as subscription:
        while True:
            reading = asyncio.ensure_future(asyncio.to_thread(subscription.receive))
            try:
                items = await asyncio.shield(reading)
            except asyncio.CancelledError:
                await reading  # the thread must let go of the socket before it is closed
                raise
            for item in items:
                yield item
