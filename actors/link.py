"""How stages in different processes hand over: ZeroMQ PUSH and PULL, one way of carrying.

Ray places and supervises the stages but carries nothing: a batch costs a tenth of the CPU of a
Ray call this way. A full link makes the sender wait, so that pressure runs back to the sources.
Only the thread that made a link may use it.
"""

from __future__ import annotations

import threading

import zmq

from actors.messages import Cargo, decode, encode

IN_FLIGHT = 64  # hand-overs that a link holds on each side before the sender waits
POLL_MS = 100


class PushLink:
    """The sending end. `address` is where the other end is bound."""

    def __init__(self, address: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, IN_FLIGHT)
        self._socket.setsockopt(zmq.LINGER, 2000)
        self._socket.connect(address)

    def send(self, cargo: Cargo, stop: threading.Event) -> bool:
        """Hand over; waits while the link is full. False when `stop` was set first."""
        data = encode(cargo)
        while not self._socket.poll(POLL_MS, zmq.POLLOUT):
            if stop.is_set():
                return False
        self._socket.send(data)
        return True

    def close(self) -> None:
        """Send what is under way, then close."""
        self._socket.close()


class PullLink:
    """The receiving end, bound at `address`."""

    def __init__(self, address: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, IN_FLIGHT)
        self._socket.bind(address)

    def drain(self, timeout_ms: int, most: int = IN_FLIGHT) -> list[Cargo]:
        """What is there, at most `most`; waits up to `timeout_ms` for the first."""
        out: list[Cargo] = []
        if self._socket.poll(timeout_ms, zmq.POLLIN):
            try:
                while len(out) < most:
                    out.append(decode(self._socket.recv(zmq.NOBLOCK)))
            except zmq.Again:
                pass
        return out

    def close(self) -> None:
        """Close at once."""
        self._socket.close(0)
