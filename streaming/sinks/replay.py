"""The replay port: a ROUTER socket that answers from the ring, in a thread of its own.

Invariants: publishing never waits for a reader of replays; a peer that does not take its replies
loses them for itself alone and may ask again; a request over `REQUEST_BYTES` closes the connection
that it came on. Plain REQ sockets are served as well as DEALER.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import zmq

from streaming.clock import NS_PER_S
from streaming.errors import SinkError
from streaming.journal import Journal
from streaming.keys import ServerKeys
from streaming.replay import REQUEST_BYTES, Ring
from streaming.sinks.base import require_open
from streaming.sinks.zeromq import BoundSocket

POLL_MS = 100
GRACE_S = 0.25  # after the last heartbeat, for those whom it tells that they missed the end


class ReplayServer:
    """A sink that remembers, and the port where it is asked. `address` says what was bound."""

    live = False

    def __init__(
        self,
        address: str,
        *,
        span_s: float = 600.0,
        max_bytes: int = 64_000_000,
        keys: ServerKeys | None = None,
        journal: Journal | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        span_ns = round(span_s * NS_PER_S)
        self._ring = Ring(span_ns=span_ns, max_bytes=max_bytes, journal=journal)
        self._journal = journal
        self._lock = threading.Lock()
        self._now_ns = monotonic_ns
        self._stop = threading.Event()
        options = {zmq.MAXMSGSIZE: REQUEST_BYTES, zmq.SNDHWM: 100, zmq.ROUTER_MANDATORY: 1}
        self._bound = BoundSocket(zmq.ROUTER, address, options, keys)
        self.address = self._bound.address
        self._thread = threading.Thread(target=self._serve, daemon=True, name="replay")
        self._thread.start()

    def send(self, topic: bytes, payload: bytes) -> None:
        """Remember one message."""
        require_open(self._stop.is_set(), f"the replay port at {self.address}")
        with self._lock:
            self._ring.add(topic, payload, self._now_ns())

    def news(self) -> list[tuple[bool, str]]:
        """What became of the journal; told once."""
        if self._journal is None:
            return []
        with self._lock:
            return self._journal.news()

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Answer for `GRACE_S` more, then free the address."""
        if not self._stop.is_set():
            time.sleep(GRACE_S)
            self._stop.set()
            self._thread.join()
            self._bound.close(0)
            if self._journal is not None:
                self._journal.close()

    def _serve(self) -> None:
        socket = self._bound.socket
        while not self._stop.is_set():
            if socket.poll(POLL_MS):
                self._reply(socket, socket.recv_multipart())

    def _reply(self, socket: zmq.Socket[bytes], frames: list[bytes]) -> None:
        """Answer one request; its last frame is the request, what precedes it is the way back."""
        with self._lock:
            reply = self._ring.answer(frames[-1])
        try:
            socket.send_multipart([*frames[:-1], *reply], flags=zmq.DONTWAIT)
        except zmq.ZMQError:
            return  # the peer has gone, or does not take its replies


def open_replay(
    address: str,
    *,
    span_s: float,
    max_bytes: int,
    keys: ServerKeys | None = None,
    journal: Journal | None = None,
) -> ReplayServer:
    """The replay port that belongs to the publisher at `address`: the next port or path.

    When that port is taken, any free one of the same host: heartbeats say where it is.
    """

    def at(place: str) -> ReplayServer:
        return ReplayServer(place, span_s=span_s, max_bytes=max_bytes, keys=keys, journal=journal)

    if address.startswith("ipc://"):
        return at(f"{address}-replay")
    host, _, port = address.rpartition(":")
    try:
        return at(f"{host}:{int(port) + 1}")
    except SinkError:
        return at(f"{host}:*")
