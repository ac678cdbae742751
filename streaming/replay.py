"""Replay: what was published lately, kept so that a subscriber can mend a hole or join late.

The Clone pattern of the ZeroMQ guide (chapter 5), with replay of a range instead of giving up.
Pure: bytes in, bytes out, `now_ns` as input. Invariants: what is kept of a stream is a run of
consecutive numbers of one epoch that ends with the latest; the ring never holds more than
`max_bytes`, nor anything older than `span_ns`; one reply never exceeds `REPLY_BYTES` by more than
one message, however much is asked for.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import msgspec
from msgspec import Meta

from streaming.errors import on_one_line
from streaming.journal import Journal
from streaming.results import SCHEMA
from streaming.undecodable import UNDECODABLE

REPLY_BYTES = 1_000_000
REQUEST_BYTES = 4_096

Frames = tuple[bytes, bytes]
Epoch = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # as much as SQLite's integers hold
Seq = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, tag="replay"):
    """Asks for the messages `first` to `last` of a stream. `id` comes back in the reply."""

    stream: str
    epoch: Epoch
    first: Seq
    last: Seq
    id: int = 0


class LatestRequest(msgspec.Struct, frozen=True, kw_only=True, tag="latest"):
    """Asks for the present state of `streams` (None: all): last result, events still open.

    `epoch`: of one that is over, and of which there is a journal: the last numbers, what came
    after it, and no messages.
    """

    streams: Annotated[list[str], Meta(max_length=256)] | None = None
    epoch: Epoch = 0
    id: int = 0


class ReplayReply(msgspec.Struct, frozen=True, kw_only=True, tag="replay"):
    """Heads the messages `first` to `last`; both None when none of them is kept.

    `more`: ask again from `last + 1` on, for the rest did not fit into one reply.
    """

    stream: str
    epoch: int
    first: int | None
    last: int | None
    more: bool = False
    id: int = 0
    schema: str = SCHEMA


class LatestReply(msgspec.Struct, frozen=True, kw_only=True, tag="latest"):
    """Heads the present state; `last_seq` says up to which number of each stream it goes.

    Of an epoch that is over: `whole`: these are the last of all that was published; `later`: the
    epochs between it and the present one, oldest first.
    """

    epoch: int
    last_seq: dict[str, int]
    whole: bool = True
    later: tuple[int, ...] = ()
    id: int = 0
    schema: str = SCHEMA


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The request was not understood or cannot be served; `reason` is one line."""

    reason: str
    id: int = 0
    schema: str = SCHEMA


Request = ReplayRequest | LatestRequest
Reply = ReplayReply | LatestReply | Refusal

_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ENCODER = msgspec.json.Encoder()
_REPLY: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def decode_reply(header: bytes) -> Reply:
    """The first frame of a reply."""
    return _REPLY.decode(header)


class _Head(msgspec.Struct):
    """What the ring has to know of a message."""

    type: str
    epoch: int
    seq: int
    stream: str = ""
    id: str = ""
    phase: str = ""


_HEAD: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """Bytes and numbers alone, so the garbage collector need not walk the whole ring."""

    seq: int
    at_ns: int
    frames: Frames

    @property
    def size(self) -> int:
        return len(self.frames[0]) + len(self.frames[1])


class _Stream:
    """One stream's run of messages and its state."""

    def __init__(self) -> None:
        self.kept: deque[_Kept] = deque()
        self.last_seq = 0
        self.result: Frames | None = None
        self.open_events: dict[str, Frames] = {}

    def state(self) -> list[Frames]:
        """The last result, then the latest word on every event that is still open."""
        return [*([self.result] if self.result else []), *self.open_events.values()]


class Ring:
    """The latest messages of all streams, within bounds of age and size.

    `journal`: keeps them too, and knows those of earlier epochs.
    """

    def __init__(self, *, span_ns: int, max_bytes: int, journal: Journal | None = None) -> None:
        self._span_ns, self._max_bytes = span_ns, max_bytes
        self._journal = journal
        self._streams: dict[str, _Stream] = {}
        self._order: deque[str] = deque()  # which stream each kept message belongs to, oldest first
        self._bytes = 0
        self._epoch = 0

    @property
    def size_bytes(self) -> int:
        """Payload and topic bytes held."""
        return self._bytes

    def add(self, topic: bytes, payload: bytes, now_ns: int) -> None:
        """Keep one message, in the order of publication. Heartbeats are passed over."""
        head = _HEAD.decode(payload)
        if not head.stream:
            return
        if head.epoch != self._epoch:
            self._clear(head.epoch)
        stream = self._streams.setdefault(head.stream, _Stream())
        kept = _Kept(head.seq, now_ns, (topic, payload))
        if self._journal is not None:
            self._journal.add(head.epoch, head.stream, head.seq, kept.frames)
        stream.kept.append(kept)
        stream.last_seq = head.seq
        self._note(stream, head, kept.frames)
        self._order.append(head.stream)
        self._bytes += kept.size
        self._expire(now_ns)

    def answer(self, request: bytes) -> list[bytes]:
        """The frames of the reply: a header, then topic and payload of each message."""
        try:
            asked = _REQUEST.decode(request[: REQUEST_BYTES + 1])
        except UNDECODABLE as error:
            reason = on_one_line(f"expected a replay or latest request: {error}")
            return [_ENCODER.encode(Refusal(reason=reason))]
        if isinstance(asked, LatestRequest):
            return self._latest(asked)
        return self._replay(asked)

    def _replay(self, asked: ReplayRequest) -> list[bytes]:
        if asked.epoch != self._epoch and self._journal is not None:
            return _from_journal(self._journal, asked)
        if asked.epoch != self._epoch:
            return [_ENCODER.encode(self._over(asked))]
        stream = self._streams.get(asked.stream)
        chosen, more = _between(stream, asked.first, asked.last) if stream else ([], False)
        header = ReplayReply(
            stream=asked.stream,
            epoch=self._epoch,
            first=chosen[0].seq if chosen else None,
            last=chosen[-1].seq if chosen else None,
            more=more,
            id=asked.id,
        )
        return [_ENCODER.encode(header), *(part for kept in chosen for part in kept.frames)]

    def _latest(self, asked: LatestRequest) -> list[bytes]:
        if asked.epoch not in (0, self._epoch):
            return [_ENCODER.encode(self._latest_of_another(asked))]
        wanted = self._streams if asked.streams is None else set(asked.streams)
        chosen = {name: stream for name, stream in self._streams.items() if name in wanted}
        header = LatestReply(
            epoch=self._epoch,
            last_seq={name: stream.last_seq for name, stream in chosen.items()},
            id=asked.id,
        )
        frames = (part for stream in chosen.values() for f in stream.state() for part in f)
        return [_ENCODER.encode(header), *frames]

    def _latest_of_another(self, asked: LatestRequest) -> LatestReply | Refusal:
        if self._journal is None:
            return self._over(asked)
        last_seq, whole = self._journal.last_seq(asked.epoch)
        wanted = last_seq if asked.streams is None else asked.streams
        return LatestReply(
            epoch=asked.epoch,
            last_seq={name: seq for name, seq in last_seq.items() if name in wanted},
            whole=whole,
            later=tuple(e for e in self._journal.later(asked.epoch) if e != self._epoch),
            id=asked.id,
        )

    def _over(self, asked: Request) -> Refusal:
        reason = f"expected epoch {self._epoch}, got {asked.epoch}: that run is over"
        return Refusal(reason=reason, id=asked.id)

    def _note(self, stream: _Stream, head: _Head, frames: Frames) -> None:
        if head.type == "result":
            stream.result = frames
        elif head.type == "event":
            stream.open_events.pop(head.id, None)
            if head.phase != "end":
                stream.open_events[head.id] = frames

    def _expire(self, now_ns: int) -> None:
        while self._order:
            oldest = self._streams[self._order[0]].kept[0]
            if oldest.at_ns >= now_ns - self._span_ns and self._bytes <= self._max_bytes:
                return
            self._streams[self._order.popleft()].kept.popleft()
            self._bytes -= oldest.size

    def _clear(self, epoch: int) -> None:
        self._streams.clear()
        self._order.clear()
        self._bytes, self._epoch = 0, epoch


def _from_journal(journal: Journal, asked: ReplayRequest) -> list[bytes]:
    rows, more = journal.between(asked.epoch, asked.stream, asked.first, asked.last, REPLY_BYTES)
    header = ReplayReply(
        stream=asked.stream,
        epoch=asked.epoch,
        first=rows[0][0] if rows else None,
        last=rows[-1][0] if rows else None,
        more=more,
        id=asked.id,
    )
    return [_ENCODER.encode(header), *(part for row in rows for part in row[1:])]


def _between(stream: _Stream, first: int, last: int) -> tuple[list[_Kept], bool]:
    """What is kept of `first` to `last`, cut at `REPLY_BYTES`; whether more is kept of it."""
    if not stream.kept:
        return [], False
    oldest = stream.kept[0].seq
    begin, end = max(first, oldest) - oldest, min(last, stream.last_seq) - oldest
    chosen: list[_Kept] = []
    size = 0
    for i in range(begin, end + 1):
        if size >= REPLY_BYTES:
            return chosen, True
        chosen.append(stream.kept[i])
        size += chosen[-1].size
    return chosen, False
