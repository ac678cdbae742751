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

from streaming.audit import AuditLog, What
from streaming.clock import NS_PER_S
from streaming.errors import SinkError, UsageError
from streaming.journal import Journal
from streaming.keys import ServerKeys
from streaming.replay import (
    REQUEST_BYTES,
    LatestReply,
    Refusal,
    ReplayReply,
    Ring,
    decode_reply,
)
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
        audit: AuditLog | None = None,
    ) -> None:
        self._audit = audit
        self.span_s = span_s
        span_ns = round(span_s * NS_PER_S)
        self._ring = Ring(span_ns=span_ns, max_bytes=max_bytes, journal=journal)
        self._journal = journal
        self.left_open = () if journal is None else journal.left_open()
        self._lock = threading.Lock()
        self._now_ns = monotonic_ns
        self._stop = threading.Event()
        options = {zmq.MAXMSGSIZE: REQUEST_BYTES, zmq.SNDHWM: 100, zmq.ROUTER_MANDATORY: 1}
        self._bound = BoundSocket(zmq.ROUTER, address, options, keys)
        self._refused_requests = 0
        self.address = self._bound.address
        self._thread = threading.Thread(target=self._serve, daemon=True, name="replay")
        self._thread.start()

    def send(self, topic: bytes, payload: bytes) -> None:
        """Remember one message."""
        require_open(self._stop.is_set(), f"the replay port at {self.address}")
        with self._lock:
            self._ring.add(topic, payload, self._now_ns())

    def refused(self) -> dict[str, int]:
        """How many connections were turned away, and requests that were none or asked too much."""
        return {"connection": self._bound.refused, "request": self._refused_requests}

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
                frames = socket.recv_multipart(copy=False)
                self._reply(socket, [bytes(frame.buffer) for frame in frames], frames[-1])

    def _reply(self, socket: zmq.Socket[bytes], frames: list[bytes], last: zmq.Frame) -> None:
        """Answer one request; its last frame is the request, what precedes it is the way back."""
        with self._lock:
            reply = self._ring.answer(frames[-1])
        self._refused_requests += isinstance(decode_reply(reply[0]), Refusal)
        if self._audit is not None:
            who, address = self._bound.peer(last)
            what, stream, detail = given(reply[0])
            self._audit.note(what, who=who, address=address, stream=stream, detail=detail)
        try:
            socket.send_multipart([*frames[:-1], *reply], flags=zmq.DONTWAIT)
        except zmq.ZMQError:
            return  # the peer has gone, or does not take its replies


def given(header: bytes) -> tuple[What, str, str]:
    """What a reply gives of which stream, for the audit log."""
    match decode_reply(header):
        case ReplayReply(stream=stream, epoch=epoch, first=None):
            return What.REPLAYED, stream, f"epoch {epoch}: nothing"
        case ReplayReply(stream=stream, epoch=epoch, first=first, last=last):
            return What.REPLAYED, stream, f"epoch {epoch}: {first} to {last}"
        case LatestReply(last_seq=last_seq):
            return What.LATEST, ", ".join(last_seq), ""
        case Refusal(reason=reason):
            return What.REFUSED, "", reason


def open_replay(
    address: str,
    *,
    span_s: float,
    max_bytes: int,
    keys: ServerKeys | None = None,
    journal: Journal | None = None,
    audit: AuditLog | None = None,
) -> ReplayServer:
    """The replay port that belongs to the publisher at `address`: the next port or path.

    When that port is taken, any free one of the same host: heartbeats say where it is.
    """

    def at(place: str) -> ReplayServer:
        return ReplayServer(
            place, span_s=span_s, max_bytes=max_bytes, keys=keys, journal=journal, audit=audit
        )

    if address.startswith("ipc://"):
        return at(f"{address}-replay")
    host, _, port = address.rpartition(":")
    try:
        return at(f"{host}:{int(port) + 1}")
    except (SinkError, UsageError):  # taken, or there is no such port
        return at(f"{host}:*")
