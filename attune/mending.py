"""Fetching what was missed, from a publisher's replay port.

Invariant: of a hole's numbers each comes back once, in order: as frames, or within a `Hole` that
says it is gone for good (no longer kept, or the port did not answer in time).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import msgspec
import zmq

from streaming.holes import Hole
from streaming.keys import ClientKeys, use_keys
from streaming.replay import Frames, LatestReply, LatestRequest, ReplayReply, ReplayRequest, Reply
from streaming.undecodable import UNDECODABLE

PATIENCE_S = 2.0

Answer = tuple[Reply | None, list[Frames]]
_ENCODER = msgspec.json.Encoder()
_REPLY: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class Mending(ABC):
    """What is asked of one replay port, whichever way it is reached.

    `answers`: whether the last thing asked got a reply.
    """

    answers = True
    _id = 0

    def __init__(self, address: str) -> None:
        self.address = address

    @abstractmethod
    def ask(self, request: ReplayRequest | LatestRequest) -> Answer:
        """The reply to `request`, with the messages that it heads; None where none came, and then
        the connection is made anew."""

    @abstractmethod
    def close(self) -> None:
        """Hang up."""

    def mend(self, hole: Hole) -> Iterator[Frames | Hole]:
        """The messages of `hole`, and holes for those that nobody has any more."""
        at = hole.first
        while at <= hole.last:
            asked = ReplayRequest(
                stream=hole.stream, epoch=hole.epoch, first=at, last=hole.last, id=self._next_id()
            )
            reply, frames = self._asked(asked)
            if not isinstance(reply, ReplayReply) or reply.first is None or reply.last is None:
                break
            if not at <= reply.first <= reply.last <= hole.last:
                break  # asked again, such a port would never come to an end
            if len(frames) != reply.last - reply.first + 1:
                break
            if at < reply.first:
                yield msgspec.structs.replace(hole, first=at, last=reply.first - 1)
            yield from frames
            at = reply.last + 1
            if not reply.more:
                break
        if at <= hole.last:
            yield msgspec.structs.replace(hole, first=at)

    def ended(self, epoch: int) -> LatestReply | None:
        """How an epoch that is over ended, as far as a journal knows."""
        reply = self._asked(LatestRequest(epoch=epoch, id=self._next_id()))[0]
        return reply if isinstance(reply, LatestReply) else None

    def serves(self, epoch: int, stream: str) -> bool:
        """Whether this is the port of the publisher that has sent `stream` in `epoch`."""
        asked = LatestRequest(epoch=epoch, streams=[stream], id=self._next_id())
        reply = self._asked(asked)[0]
        return isinstance(reply, LatestReply) and stream in reply.last_seq

    def latest(self, streams: list[str] | None) -> tuple[int, dict[str, int], list[Frames]] | None:
        """Epoch, last numbers and state messages; None when the port did not answer."""
        reply, frames = self._asked(LatestRequest(streams=streams, id=self._next_id()))
        if not isinstance(reply, LatestReply):
            return None
        return reply.epoch, reply.last_seq, frames

    def _next_id(self) -> int:
        self._id += 1
        return self._id

    def _asked(self, request: ReplayRequest | LatestRequest) -> Answer:
        reply, frames = self.ask(request)
        if reply is None and self.answers:
            reply, frames = self.ask(request)  # over a new connection
        self.answers = reply is not None
        return reply, frames


class Mender(Mending):
    """A connection to one replay port. Raises `zmq.ZMQError` where `address` is none."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        keys: ClientKeys | None = None,
    ) -> None:
        super().__init__(address)
        self._context, self._keys = context, keys
        self._socket = self._connected()

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

    def ask(self, request: ReplayRequest | LatestRequest) -> Answer:
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
                return reply, list(zip(parts[::2], parts[1::2], strict=True))
        self._socket.close(0)  # its connection may be broken for good
        self._socket = self._connected()
        return None, []
