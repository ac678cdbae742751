"""Fetching what was missed, from a publisher's replay port.

Invariant: of a hole's numbers each comes back once, in order: as frames, or within a `Hole` that
says it is gone for good (no longer kept, or the port did not answer in time).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import zmq

from streaming.holes import Hole
from streaming.keys import ClientKeys, use_keys
from streaming.replay import Frames, LatestReply, LatestRequest, ReplayReply, ReplayRequest, Reply
from streaming.undecodable import UNDECODABLE

PATIENCE_S = 2.0
BEYOND = 2**53  # more than any number there is

_ENCODER = msgspec.json.Encoder()
_REPLY: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class Mender:
    """A connection to one replay port. Raises `zmq.ZMQError` where `address` is none."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        keys: ClientKeys | None = None,
    ) -> None:
        self.address = address
        self._context, self._keys = context, keys
        self._socket = self._connected()
        self._id = 0
        self.answers = True  # whether the last thing asked got a reply

    def close(self) -> None:
        """Hang up."""
        self._socket.close(0)

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, int("[" in self.address))
        use_keys(socket, self._keys)
        try:
            socket.connect(self.address)
        except zmq.ZMQError:
            socket.close(0)
            raise
        return socket

    def mend(self, hole: Hole) -> Iterator[Frames | Hole]:
        """The messages of `hole`, and holes for those that nobody has any more."""
        at = hole.first
        while at <= hole.last:
            asked = ReplayRequest(
                stream=hole.stream, epoch=hole.epoch, first=at, last=hole.last, id=self._next_id()
            )
            reply, frames = self._ask(asked)
            if not isinstance(reply, ReplayReply) or reply.first is None or reply.last is None:
                break
            if not at <= reply.first <= reply.last <= hole.last:
                break  # asked again, such a port would never come to an end
            if at < reply.first:
                yield msgspec.structs.replace(hole, first=at, last=reply.first - 1)
            yield from frames
            at = reply.last + 1
            if not reply.more:
                break
        if at <= hole.last:
            yield msgspec.structs.replace(hole, first=at)

    def rest(self, stream: str, epoch: int, heard: int) -> Iterator[Frames | Hole]:
        """What an epoch that is over had after number `heard`, as far as a journal knows."""
        beyond = Hole(stream=stream, epoch=epoch, first=heard + 1, last=BEYOND)
        for piece in self.mend(beyond):
            if not isinstance(piece, Hole) or piece.last != BEYOND:
                yield piece

    def last_seq(self, epoch: int) -> dict[str, int]:
        """The last number of each stream of an epoch that is over, as far as a journal knows."""
        reply, _ = self._ask(LatestRequest(epoch=epoch, id=self._next_id()))
        return reply.last_seq if isinstance(reply, LatestReply) else {}

    def latest(self, streams: list[str] | None) -> tuple[int, dict[str, int], list[Frames]] | None:
        """Epoch, last numbers and state messages; None when the port did not answer."""
        reply, frames = self._ask(LatestRequest(streams=streams, id=self._next_id()))
        if not isinstance(reply, LatestReply):
            return None
        return reply.epoch, reply.last_seq, frames

    def _next_id(self) -> int:
        self._id += 1
        return self._id

    def _ask(self, request: ReplayRequest | LatestRequest) -> tuple[Reply | None, list[Frames]]:
        """The reply to `request`; answers to earlier requests that gave up are passed over."""
        self._socket.send(_ENCODER.encode(request))
        until_s = time.monotonic() + PATIENCE_S
        while (left_ms := round((until_s - time.monotonic()) * 1000)) > 0:
            if not self._socket.poll(left_ms):
                break
            header, *parts = self._socket.recv_multipart()
            try:
                reply = _REPLY.decode(header)
            except UNDECODABLE:
                continue
            if reply.id == request.id and len(parts) % 2 == 0:
                self.answers = True
                return reply, list(zip(parts[::2], parts[1::2], strict=True))
        self.answers = False
        self._socket.close(0)  # its connection may be broken for good
        self._socket = self._connected()
        return None, []
