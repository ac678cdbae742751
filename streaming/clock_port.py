"""The port at which a host says what time it is there: a ROUTER socket.

Invariant: what is no question gets no answer, and costs nothing but itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import zmq

from streaming.clock_exchange import MESSAGE_BYTES, ClockReply, decode_request, encode
from streaming.keys import ServerKeys
from streaming.sinks.zeromq import BoundSocket

POLL_MS = 200


class ClockPort:
    """Binds `address`; `address` says afterwards what was bound. `now_ns`: the clock to tell."""

    def __init__(
        self,
        address: str,
        keys: ServerKeys | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        options = {zmq.MAXMSGSIZE: MESSAGE_BYTES, zmq.SNDHWM: 100, zmq.RCVHWM: 100}
        self._bound = BoundSocket(
            zmq.ROUTER, address, options, keys, use="tell the time on", asks_keys="--keys DIR"
        )
        self._now_ns = now_ns
        self.address = self._bound.address

    def serve(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        while not stop.is_set():
            if self._bound.socket.poll(POLL_MS):
                self._answer()

    def close(self) -> None:
        """Free the address."""
        self._bound.close(0)

    def _answer(self) -> None:
        socket = self._bound.socket
        *way, data = socket.recv_multipart()
        received_ns = self._now_ns()
        request = decode_request(data)
        if request is None:
            return
        with suppress(zmq.Again):
            reply = ClockReply(id=request.id, received_ns=received_ns, replied_ns=self._now_ns())
            socket.send_multipart([*way, encode(reply)], flags=zmq.DONTWAIT)
