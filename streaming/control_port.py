"""The control port: a ROUTER socket on which requests come and from which replies go.

Invariants: a path (`ipc://`) is open to its owner only, any other address to listed keys only, for
who may ask here may have any file and device of this user read; nothing here waits; a request over
`REQUEST_BYTES` closes the connection that it came on.
"""

from __future__ import annotations

import os
from contextlib import suppress

import zmq

from streaming.audit import AuditLog, What
from streaming.consent import taken_in
from streaming.control import (
    REQUEST_BYTES,
    AddRequest,
    ListRequest,
    Refused,
    Reply,
    Request,
    decode_request,
    encode,
)
from streaming.errors import UsageError, WireError
from streaming.keys import ServerKeys
from streaming.sinks.zeromq import BoundSocket

MOST = 16  # requests taken at a time; more wait
Way = tuple[bytes, ...]


class ControlPort:
    """Binds `address`; `address` says afterwards what was bound. `audit` is told who asks what."""

    def __init__(
        self, address: str, keys: ServerKeys | None = None, audit: AuditLog | None = None
    ) -> None:
        self._audit = audit
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
            frames = self._socket.recv_multipart(copy=False)
            *way, data = (bytes(frame.buffer) for frame in frames)
            try:
                request = decode_request(data)
            except WireError as error:
                self._note(frames[-1], What.REFUSED, detail=str(error))
                self.reply(tuple(way), Refused(reason=str(error)))
                continue
            self._note_request(frames[-1], request)
            found.append((tuple(way), request))
        return found

    def _note_request(self, frame: zmq.Frame, request: Request) -> None:
        name = str(request.__struct_config__.tag)
        match request:
            case AddRequest(stream=stream):
                self._note(frame, What.COMMAND, stream=stream.name, detail=name)
                if stream.consent:
                    self._note(frame, What.CONSENT, stream=stream.name, detail=taken_in(stream))
            case ListRequest():
                self._note(frame, What.COMMAND, detail=name)
            case _:
                self._note(frame, What.COMMAND, stream=request.stream, detail=name)

    def _note(self, frame: zmq.Frame, what: What, *, stream: str = "", detail: str) -> None:
        if self._audit is not None:
            who, address = self._bound.peer(frame)
            self._audit.note(what, who=who, address=address, stream=stream, detail=detail)

    def reply(self, way: Way, reply: Reply) -> None:
        """Answer; one who has gone is not waited for."""
        with suppress(zmq.ZMQError):
            self._socket.send_multipart([*way, encode(reply)], flags=zmq.DONTWAIT)

    def close(self) -> None:
        """Let the last replies go out, and free the address."""
        self._bound.close(200)
