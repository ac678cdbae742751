"""How stages in different processes hand over: ZeroMQ PUSH and PULL, one way of carrying.

Ray places and supervises the stages but carries nothing: a batch costs a tenth of the CPU of a
Ray call this way. A full link makes the sender wait, so that pressure runs back to the sources.
The sender keeps what it has sent lately, so that a receiver that takes another's place can be
given it again. One thread at a time may use a link, except for `hold` and `resend`. Between
machines links go over tcp, and with keys.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import zmq

from actors.messages import Cargo, decode, encode
from streaming.keys import ClientKeys, ServerKeys, use_keys
from streaming.sinks.zeromq import BoundSocket
from streaming.undecodable import UNDECODABLE

log = logging.getLogger(__name__)

IN_FLIGHT = 64  # hand-overs that a link holds on each side before the sender waits
POLL_MS = 100
LINGER_MS = 2000
KEPT_S = 30.0
KEPT_BYTES = 32 * 2**20
LARGEST = 32 * 2**20  # of one hand-over, in bytes


class PushLink:
    """The sending end. `address` is where the other end is bound.

    `keeps`: whether what was sent is kept to be sent again.
    """

    def __init__(self, address: str, keys: ClientKeys | None = None, *, keeps: bool = True) -> None:
        self._address, self._keys = address, keys
        self._keeps = keeps
        self._kept: deque[tuple[float, bytes]] = deque()
        self._kept_bytes = 0
        self._socket: zmq.Socket[bytes] | None = self._connected()
        self._hold, self._held = threading.Event(), threading.Event()
        self._again = threading.Event()

    def send(
        self, cargo: Cargo, stop: threading.Event, alive: Callable[[], None] = lambda: None
    ) -> bool:
        """Hand over; waits while the link is full. False when `stop` was set first.

        While the link is held the cargo is only kept. `alive` is called now and then.
        """
        data = encode(cargo)
        self.attend(stop)
        self._keep(data)
        return self._sent(data, stop, alive)

    def offer(self, cargo: Cargo) -> bool:
        """Hand over what may as well be missed; False when the link is full."""
        if self._socket is None or not self._socket.poll(0, zmq.POLLOUT):
            return False
        self._socket.send(encode(cargo))
        return True

    def attend(self, stop: threading.Event) -> None:
        """Do what `hold` and `resend` have asked for."""
        if self._hold.is_set():
            if self._socket is not None:
                self._socket.close(0)
            self._socket = None
            self._held.set()
        if self._again.is_set():
            self._again.clear()
            if self._socket is not None:
                self._socket.close(0)
            self._socket = self._connected()
            for _, data in list(self._kept):
                self._sent(data, stop, lambda: None)

    def hold(self, timeout_s: float) -> bool:
        """Have the link forget what is under way and only keep; True when it does. Any thread."""
        self._again.clear()
        self._hold.set()
        return self._held.wait(timeout_s)

    def resend(self, address: str = "") -> None:
        """Have the link send all it has kept, to `address` if it is another now, and go on. Any
        thread."""
        self._address = address or self._address
        self._hold.clear()
        self._held.clear()
        self._again.set()

    def close(self) -> None:
        """Send what is under way, then close."""
        if self._socket is not None:
            self._socket.close()

    def _connected(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, IN_FLIGHT)
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        connect(socket, self._address, self._keys)
        return socket

    def _sent(self, data: bytes, stop: threading.Event, alive: Callable[[], None]) -> bool:
        while self._socket is not None and not self._hold.is_set():
            if self._socket.poll(POLL_MS, zmq.POLLOUT):
                self._socket.send(data)
                return True
            alive()
            if stop.is_set():
                return False
        return True  # it is kept

    def _keep(self, data: bytes) -> None:
        if not self._keeps:
            return
        now_s = time.monotonic()
        self._kept.append((now_s, data))
        self._kept_bytes += len(data)
        while self._kept and (self._kept[0][0] < now_s - KEPT_S or self._kept_bytes > KEPT_BYTES):
            self._kept_bytes -= len(self._kept.popleft()[1])


class PullLink:
    """The receiving end, bound at `address`; `address` says afterwards what was bound."""

    def __init__(self, address: str, keys: ServerKeys | None = None) -> None:
        options = {zmq.RCVHWM: IN_FLIGHT, zmq.MAXMSGSIZE: LARGEST}
        self._bound = BoundSocket(zmq.PULL, address, options, keys, use="take hand-overs on")
        self._socket, self.address = self._bound.socket, self._bound.address

    def drain(self, timeout_ms: int, most: int = IN_FLIGHT) -> list[Cargo]:
        """What is there, at most `most`; waits up to `timeout_ms` for the first."""
        out: list[Cargo] = []
        if self._socket.poll(timeout_ms, zmq.POLLIN):
            try:
                while len(out) < most:
                    data = self._socket.recv(zmq.NOBLOCK)
                    try:
                        out.append(decode(data))
                    except UNDECODABLE as error:  # nobody but this user can have sent it
                        log.warning("%d bytes that are no hand-over: %s", len(data), error)
            except zmq.Again:
                pass
        return out

    def close(self) -> None:
        """Close at once."""
        self._bound.close(0)


def connect(socket: zmq.Socket[bytes], address: str, keys: ClientKeys | None) -> None:
    """Connect a socket between parts of a run."""
    use_keys(socket, keys)
    socket.setsockopt(zmq.IPV6, int("[" in address))
    socket.connect(address)
