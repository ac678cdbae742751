"""What the frames that reach a subscriber amount to: messages, mended holes, and what is gone.

Pure but for the replay port that it is given. Invariants: messages come in the order in which they
were sent. Of every stream, each number from the first one heard comes once, or lies in a `Hole`, or
behind a `LostEnd`, through any number of epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Literal

import msgspec

from attune.mending import Mending
from streaming.errors import WireError
from streaming.holes import Hole, HoleDetector, LostEnd, NewEpoch, Standing
from streaming.open_events import OpenEvents
from streaming.replay import Frames, LatestReply
from streaming.results import Event, Health, Heartbeat, Message, Result
from streaming.wire import HEARTBEAT_TOPIC, decode, encode

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


Item = Delivery | Hole | LostEnd | NewEpoch | Garbled
Held = tuple[Frames, Result | Event | Health]


class Reception:
    """One subscriber's. `streams`: those of interest, None: all. `connect`: the replay port at an
    address that a heartbeat told, or None where that is no address. `mend`, `latest`, `since`: as
    for `attune.client.Subscription`. `waiting`: messages that are held at most while it is not
    known where to ask for what was missed before them.
    """

    def __init__(
        self,
        connect: Callable[[str], Mending | None],
        streams: frozenset[str] | None = None,
        *,
        mend: bool = True,
        latest: bool = False,
        since: Standing | None = None,
        waiting: int = 10_000,
    ) -> None:
        self._connect, self._streams = connect, streams
        self._detector, self._open = HoleDetector(), OpenEvents()
        if since is not None and since.epoch:
            self._detector.resume(since)
        self._since, self._waiting = since, waiting
        self._held: list[Held] | None = None if since is None else []
        self._mend, self._latest_wanted = mend, latest
        self._port: Mending | None = None
        self._told_at = ""  # where the last heartbeat said that the port is
        self._beat_epoch: int | None = None

    @property
    def held(self) -> int:
        """How many messages wait for a heartbeat to say where to ask."""
        return len(self._held or ())

    def close(self) -> None:
        """Let go of the replay port."""
        if self._port is not None:
            self._port.close()

    def items(self, frames: list[bytes]) -> Iterator[Item]:
        """What one message amounts to; nothing when it is of another stream or came before."""
        for item in self._items(frames):
            for event in self._open.take(item.message) if isinstance(item, Delivery) else ():
                yield from _fetched(encode(event), "concluded")
            yield item

    def _items(self, frames: list[bytes]) -> Iterator[Item]:
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
            self._beat_epoch = message.epoch
            self._know_port(message.replay)
        elif self._hold((topic, payload), message):
            return
        if self._latest_wanted and self._port is not None:
            yield from self._state()
        held, self._held = self._held, None
        for earlier in held or ():
            yield from self._take(*earlier)
        yield from self._take((topic, payload), message)

    def _take(self, frames: Frames, message: Message) -> Iterator[Item]:
        """A message and, before it, what it shows to have been missed."""
        complete, over = self._detector.complete, self._detector.over
        for notice in self._detector.take(self._of_interest(message)):
            if isinstance(notice, Hole):
                yield from self._mended(notice)
            elif isinstance(notice, NewEpoch):
                yield from self._turned(notice, complete=complete, over=over)
            else:
                return  # it had come before
        yield Delivery(topic=frames[0], payload=frames[1], message=message)

    def _hold(self, frames: Frames, message: Result | Event | Health) -> bool:
        """Whether `message` waits until a heartbeat says where to ask for what was missed.

        So it is at the beginning, if asked for; and when a publisher was started anew and is not
        the one that answers where its predecessor did.
        """
        if self._held is None and self._is_of_another(message):
            self._held = []
        if self._held is None or len(self._held) >= self._waiting:
            return False
        self._held.append((frames, message))
        return True

    def _is_of_another(self, message: Result | Event | Health) -> bool:
        """Whether `message` was sent by another publisher than the one whose port is known."""
        if self._port is None or not self._mend:
            return False
        known = (None, self._detector.epoch, self._beat_epoch)
        return message.epoch not in known[1:] and not self._port.serves(
            message.epoch, message.stream
        )

    def _know_port(self, told: str) -> None:
        if not (self._mend or self._latest_wanted) or told == self._told_at:
            return
        self.close()
        self._told_at = told
        self._port = self._connect(told) if told else None

    def _state(self) -> list[Item]:
        """How things stood when this subscriber joined; live messages up to there are repeats."""
        assert self._port is not None
        self._latest_wanted = False
        found = self._port.latest(None if self._streams is None else sorted(self._streams))
        if found is None:
            return []
        epoch, last_seq, frames = found
        items = [item for one in frames for item in _fetched(one, "latest")]
        items.sort(key=lambda item: item.message.seq if isinstance(item, Delivery) else 0)
        if self._since is None or not self._since.epoch:
            self._detector.beat(epoch, last_seq)
            return items
        known = self._since.last_seq if self._since.epoch == epoch else {}
        return [i for i in items if isinstance(i, Delivery) and _stood(i.message, known)]

    def _mended(self, hole: Hole) -> Iterator[Item]:
        """What was missed, as far as it is kept, and what remains of the hole."""
        if self._port is None or not self._mend:
            yield hole
            return
        for piece in self._port.mend(hole):
            yield from [piece] if isinstance(piece, Hole) else _fetched(piece, "mended")

    def _turned(self, turn: NewEpoch, *, complete: bool, over: bool) -> Iterator[Item]:
        """What was missed at the end of the epoch before, and of those of which nothing was heard.

        `complete`: streams of which nothing was heard have begun there. `over`: nothing was sent
        after its last heartbeat.
        """
        told = self._ended(turn.previous)
        yield from self._rest(turn.previous, turn.heard, told, complete=complete, over=over)
        previous, heard = turn.previous, turn.heard
        for epoch in takewhile(turn.epoch.__ne__, () if told is None else told.later):
            yield NewEpoch(epoch=epoch, previous=previous, heard=heard)
            yield from self._rest(epoch, {}, self._ended(epoch), complete=True, over=False)
            previous, heard = epoch, {}
        yield NewEpoch(epoch=turn.epoch, previous=previous, heard=heard)

    def _ended(self, epoch: int) -> LatestReply | None:
        return self._port.ended(epoch) if self._port is not None and self._mend else None

    def _rest(
        self,
        epoch: int,
        heard: dict[str, int],
        told: LatestReply | None,
        *,
        complete: bool,
        over: bool,
    ) -> Iterator[Item]:
        """What an epoch had after the numbers `heard`, as far as `told`, and where that is not
        known."""
        begun = {} if told is None else told.last_seq
        wanted = begun if self._streams is None else self._streams
        unheard = {name: 0 for name in wanted if name not in heard and (complete or told is None)}
        for stream, reached in (heard | unheard).items():
            last = begun.get(stream, 0)
            if last > reached:
                yield from self._fetch(
                    Hole(stream=stream, epoch=epoch, first=reached + 1, last=last)
                )
            known = over or (told is not None and told.whole and (last >= reached))
            if not known:
                yield LostEnd(stream=stream, epoch=epoch, first=max(last, reached) + 1)
        if self._streams is None and not over and (told is None or not told.whole):
            yield LostEnd(stream="", epoch=epoch, first=1)

    def _fetch(self, hole: Hole) -> Iterator[Item]:
        """As `_mended`; a port that no longer answers is not asked again for the next stream."""
        answers = self._port is not None and self._port.answers
        yield from self._mended(hole) if answers else [hole]

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


def _fetched(frames: Iterable[bytes], origin: Origin) -> list[Item]:
    topic, payload = frames
    try:
        message = decode(topic, payload)
    except WireError as error:
        return [Garbled(topic=topic, reason=str(error))]
    return [Delivery(topic=topic, payload=payload, message=message, origin=origin)]


def _stood(message: Message, known: dict[str, int]) -> bool:
    """Whether `message` was there when a subscriber had come so far; what is later is mended."""
    return not isinstance(message, Heartbeat) and message.seq <= known.get(message.stream, 0)
