"""The subscriber: what a publisher sends, decoded, with every hole mended or named.

ZeroMQ sockets and nothing of the analyser, so it starts in a blink. Invariant: messages come in the
order in which they were sent. What was missed is asked for at the replay port that heartbeats name,
and delivered in its place; what is gone for good is said by a `Hole` in its place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from attune.addresses import beside, prefixes, require_address, require_stream
from attune.mending import Mender
from streaming.errors import UsageError, WireError
from streaming.holes import Hole, HoleDetector, NewEpoch, Standing
from streaming.keys import read_client_keys, use_keys
from streaming.open_events import OpenEvents
from streaming.results import Heartbeat, Message
from streaming.wire import HEARTBEAT_TOPIC, MAX_PAYLOAD_BYTES, decode, encode

# Messages kept here while the caller is busy; beyond it the newest are lost, and show as a hole.
RECEIVE_HIGH_WATER_MARK = 10_000
POLL_MS = 200
SILENT_S = 5.0  # heartbeats come every second unless the publisher was told otherwise

# As in streaming/sinks/zeromq.py: a context collected as garbage would wait without end.
_CONTEXTS: set[zmq.Context[zmq.Socket[bytes]]] = set()

Origin = Literal["live", "mended", "latest", "concluded"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message, with the bytes it came as, and how it came.

    `live`: published just now. `mended`: missed at first, then fetched. `latest`: it was there
    before this subscriber, and says how things stand. `concluded`: an event's end that nobody sent,
    but which is certain: its publisher was lost, or the end itself (`seq` is 0).
    """

    topic: bytes
    payload: bytes
    message: Message
    origin: Origin = "live"


class Garbled(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes came that are no message of this schema; `reason` is one line."""

    topic: bytes
    reason: str


Item = Delivery | Hole | NewEpoch | Garbled


def _fetched(topic: bytes, payload: bytes, origin: Origin) -> list[Item]:
    try:
        message = decode(topic, payload)
    except WireError as error:
        return [Garbled(topic=topic, reason=str(error))]
    return [Delivery(topic=topic, payload=payload, message=message, origin=origin)]


def _stood(message: Message, known: dict[str, int]) -> bool:
    """Whether `message` was there when a subscriber had come so far; what is later is mended."""
    return not isinstance(message, Heartbeat) and message.seq <= known.get(message.stream, 0)


class Subscription:
    """A connection to one publisher. Use as a context manager; `receive` never blocks for long.

    `mend`: fetch what was missed. `latest`: begin with the last result of every stream and the
    events that are open. `keys`: folder with this subscriber's CURVE keys, where the publisher
    asks for them. `since`: go on where an earlier subscription stood. Then what comes before the
    first heartbeat, which says where to ask, is held until that is here, and so nothing comes
    twice; and what `latest` brings is only what was there at that time. `waiting`: messages that
    are kept while the caller is busy.
    """

    def __init__(
        self,
        address: str,
        streams: Sequence[str] | None = None,
        *,
        mend: bool = True,
        latest: bool = False,
        keys: Path | str | None = None,
        since: Standing | None = None,
        waiting: int = RECEIVE_HIGH_WATER_MARK,
    ) -> None:
        require_address(address)
        self._address = address
        self._keys = None if keys is None else read_client_keys(Path(keys))
        self._streams = None if streams is None else frozenset(map(require_stream, streams))
        self._detector, self._open = HoleDetector(), OpenEvents()
        if since is not None and since.epoch:
            self._detector.resume(since)
        self._since, self._waiting = since, waiting
        self._held: list[list[bytes]] | None = None if since is None else []
        self._mend, self._latest_wanted = mend, latest
        self._mender: Mender | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        _CONTEXTS.add(self._context)
        self._silent_from_s: float | None = None
        self._socket = self._connected()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._mender is not None:
            self._mender.close()
        self._socket.close(0)
        self._context.term()
        _CONTEXTS.discard(self._context)

    def receive(self, timeout_ms: int = POLL_MS) -> list[Item]:
        """What one message amounts to: it, and before it the holes it shows. Empty: none came."""
        return list(self.read(timeout_ms))

    def read(self, timeout_ms: int = POLL_MS) -> Iterator[Item]:
        """As `receive`, one by one as they are fetched: what was missed may be much."""
        until_s = time.monotonic() + timeout_ms / 1000
        left_ms, found = timeout_ms, False
        while not found and left_ms >= 0 and self._socket.poll(left_ms):
            self._silent_from_s = None
            for item in self._with_ends(self._items(self._socket.recv_multipart())):
                found = True
                yield item
            left_ms = round((until_s - time.monotonic()) * 1000)
        if not found:
            self._mind_silence()

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, self._waiting)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_PAYLOAD_BYTES)  # beyond it the connection is closed
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, int("[" in self._address))
        for prefix in prefixes(self._streams):
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        use_keys(socket, self._keys)
        try:
            socket.connect(self._address)
        except zmq.ZMQError as error:
            socket.close(0)
            self._context.term()
            _CONTEXTS.discard(self._context)
            raise UsageError(f"cannot subscribe to {self._address!r}: {error.strerror}") from None
        return socket

    def _mind_silence(self) -> None:
        """Connect anew after a long silence: libzmq gives up for good where bytes arrive broken."""
        now_s = time.monotonic()
        if self._silent_from_s is None:
            self._silent_from_s = now_s
        elif now_s - self._silent_from_s >= SILENT_S:
            self._silent_from_s = None
            self._socket.close(0)
            self._socket = self._connected()

    def _items(self, frames: list[bytes]) -> Iterator[Item]:
        """The items of one message; none when it is of another stream or came before."""
        if len(frames) != 2:
            yield Garbled(topic=frames[0], reason=f"expected 2 frames, {len(frames)} came")
            return
        topic, payload = frames
        if not self._wanted(topic):
            return
        try:
            message = decode(topic, payload)
        except WireError as error:
            yield Garbled(topic=topic, reason=str(error))
            return
        if isinstance(message, Heartbeat):
            self._know_replay(message.replay)
        elif self._held is not None and len(self._held) < self._waiting:
            self._held.append(frames)
            return
        if self._latest_wanted and self._mender is not None:
            yield from self._state()
        held, self._held = self._held, None
        for earlier in held or ():
            yield from self._items(earlier)
        complete = self._detector.complete
        for notice in self._detector.take(self._of_interest(message)):
            if isinstance(notice, Hole):
                yield from self._mended(notice)
            elif isinstance(notice, NewEpoch):
                yield from self._rest(notice, complete)
                yield notice
            else:
                return  # it had come before
        yield Delivery(topic=topic, payload=payload, message=message)

    def _with_ends(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, and before each the ends of events that it shows to be over."""
        for item in items:
            for event in self._open.take(item.message) if isinstance(item, Delivery) else ():
                yield from _fetched(*encode(event), "concluded")
            yield item

    def _know_replay(self, address: str) -> None:
        if not (self._mend or self._latest_wanted) or not address:
            return
        address = beside(self._address, address)
        if self._mender is None or self._mender.address != address:
            if self._mender is not None:
                self._mender.close()
            self._mender = None
            with suppress(zmq.ZMQError):  # it names no address: what is missed stays missed
                self._mender = Mender(self._context, address, self._keys)

    def _state(self) -> list[Item]:
        """How things stood when this subscriber joined; live messages up to there are repeats."""
        assert self._mender is not None
        self._latest_wanted = False
        found = self._mender.latest(None if self._streams is None else sorted(self._streams))
        if found is None:
            return []
        epoch, last_seq, frames = found
        items = [item for topic, payload in frames for item in _fetched(topic, payload, "latest")]
        items.sort(key=lambda item: item.message.seq if isinstance(item, Delivery) else 0)
        if self._since is None or not self._since.epoch:
            self._detector.beat(epoch, last_seq)
            return items
        known = self._since.last_seq if self._since.epoch == epoch else {}
        return [i for i in items if isinstance(i, Delivery) and _stood(i.message, known)]

    def _mended(self, hole: Hole) -> Iterator[Item]:
        """What was missed, as far as it is kept, and what remains of the hole."""
        if self._mender is None or not self._mend:
            yield hole
            return
        for piece in self._mender.mend(hole):
            yield from [piece] if isinstance(piece, Hole) else _fetched(*piece, "mended")

    def _rest(self, turn: NewEpoch, complete: bool) -> Iterator[Item]:
        """What was missed at the end of the epoch that is over; `complete`: streams of which
        nothing was heard have begun there."""
        if self._mender is None or not self._mend:
            return
        begun = self._mender.last_seq(turn.previous) if complete else {}
        if complete and not self._mender.answers:
            return
        unheard = {name: 0 for name in begun if self._streams is None or name in self._streams}
        for stream, heard in (unheard | turn.heard).items():
            for piece in self._mender.rest(stream, turn.previous, heard):
                yield from [piece] if isinstance(piece, Hole) else _fetched(*piece, "mended")
            if not self._mender.answers:
                break  # nor would it for the other streams

    def _wanted(self, topic: bytes) -> bool:
        """ZeroMQ filters by prefix, so `result/cam` lets `result/cam2` through."""
        if self._streams is None or topic == HEARTBEAT_TOPIC.encode():
            return True
        parts = topic.decode("ascii", "replace").split("/")
        return len(parts) > 1 and parts[1] in self._streams

    def _of_interest(self, message: Message) -> Message:
        if self._streams is None or not isinstance(message, Heartbeat):
            return message
        kept = {name: seq for name, seq in message.last_seq.items() if name in self._streams}
        return msgspec.structs.replace(message, last_seq=kept)


def subscribe(
    address: str,
    streams: Sequence[str] | None = None,
    *,
    mend: bool = True,
    latest: bool = False,
    keys: Path | str | None = None,
    stop: threading.Event | None = None,
    idle_s: float | None = None,
) -> Iterator[Item]:
    """Every message of `streams` (None: all) as it comes, heartbeats and holes among them.

    `mend`, `latest` and `keys` as in `Subscription`. Ends when `stop` is set, or when nothing at
    all came for `idle_s` seconds.
    """
    with Subscription(address, streams, mend=mend, latest=latest, keys=keys) as subscription:
        heard_s = time.monotonic()
        while stop is None or not stop.is_set():
            items = subscription.receive()
            yield from items
            if items:
                heard_s = time.monotonic()
            elif idle_s is not None and time.monotonic() - heard_s >= idle_s:
                return


async def subscribe_async(
    address: str,
    streams: Sequence[str] | None = None,
    *,
    mend: bool = True,
    latest: bool = False,
    keys: Path | str | None = None,
) -> AsyncIterator[Item]:
    """As `subscribe`, for asyncio; it ends when its task is cancelled or the loop is left.

    The socket is read in a thread. While the caller is busy, messages wait in ZeroMQ's queue.
    """
    with Subscription(address, streams, mend=mend, latest=latest, keys=keys) as subscription:
        while True:
            reading = asyncio.ensure_future(asyncio.to_thread(subscription.receive))
            try:
                items = await asyncio.shield(reading)
            except asyncio.CancelledError:
                await reading  # the thread must let go of the socket before it is closed
                raise
            for item in items:
                yield item
