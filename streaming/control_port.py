"""The control port: a ROUTER socket on which requests come and from which replies go.

Invariants: a path (`ipc://`) is open to its owner only, any other address to listed keys only, for
who may ask here may have any file and device of this user read; nothing here waits; a request over
`REQUEST_BYTES` closes the connection that it came on.
"""

from __future__ import annotations

import os
from contextlib import suppress

import zmq

from streaming.control import REQUEST_BYTES, Refused, Reply, Request, decode_request, encode
from streaming.errors import UsageError, WireError
from streaming.keys import ServerKeys
from streaming.sinks.zeromq import BoundSocket

MOST = 16  # requests taken at a time; more wait
Way = tuple[bytes, ...]


class ControlPort:
    """Binds `address`; `address` says afterwards what was bound."""

    def __init__(self, address: str, keys: ServerKeys | None = None) -> None:
        if keys is None and not address.startswith("ipc://"):
            raise UsageError(
                f"cannot take commands on {address}: expected keys, for anybody on this "
                "machine could ask there: make them with attune keys server DIR and give "
                "control.keys=DIR, or use a path such as ipc:///run/user/1000/attune"
            )
        options = {
            zmq.MAXMSGSIZE: REQUEST_BYTES,
            zmq.SNDHWM: 100,
            zmq.RCVHWM: 100,
            zmq.ROUTER_MANDATORY: 1,
        }
        before = os.umask(0o177)
        try:
            self._bound = BoundSocket(zmq.ROUTER, address, options, keys, use="take commands on")
        finally:
            os.umask(before)
        self._socket = self._bound.socket
        self.address = self._bound.address

    def receive(self) -> list[tuple[Way, Request]]:
        """The requests that have come, and whom to answer. What is none is refused here."""
        found: list[tuple[Way, Request]] = []
        for _ in range(MOST):
            if not self._socket.poll(0):
                break
            *way, data = self._socket.recv_multipart()
            try:
                found.append((tuple(way), decode_request(data)))
            except WireError as error:
                self.reply(tuple(way), Refused(reason=str(error)))
        return found

    def reply(self, way: Way, reply: Reply) -> None:
        """Answer; one who has gone is not waited for."""
        with suppress(zmq.ZMQError):
            self._socket.send_multipart([*way, encode(reply)], flags=zmq.DONTWAIT)

    def close(self) -> None:
        """Let the last replies go out, and free the address."""
        self._bound.close(200)
