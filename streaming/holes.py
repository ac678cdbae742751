"""Holes: what a subscriber did not get, read off the sequence numbers.

Pure. Invariant: of each stream in each epoch, every number from the first one expected to the last
one known is either fed once or reported missing once. Who joins late expects nothing before the
first number heard; who was there from a heartbeat on expects a stream that is new after it from 1.
"""

from __future__ import annotations

import msgspec

from streaming.results import Heartbeat, Message


class Hole(msgspec.Struct, frozen=True, kw_only=True, tag="hole"):
    """Messages `first` to `last` of `stream` were sent in `epoch` and did not come."""

    stream: str
    epoch: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many messages are missing."""
        return self.last - self.first + 1


class NewEpoch(msgspec.Struct, frozen=True, kw_only=True, tag="new_epoch"):
    """The publisher was started anew: numbers begin at 1 again. `heard`: of the streams of the
    previous epoch, the last number that came or was given up."""

    epoch: int
    previous: int
    heard: dict[str, int] = {}


class LostEnd(msgspec.Struct, frozen=True, kw_only=True, tag="lost_end"):
    """Whether `stream` had messages from number `first` on in `epoch`, which is over, nobody can
    tell any more; if it had, they are gone for good.

    `stream` is empty for all streams of which nothing was heard.
    """

    stream: str
    epoch: int
    first: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a subscriber had come: in which epoch (0: it had heard nothing), to which number of
    each stream."""

    epoch: int = 0
    last_seq: dict[str, int] = {}


class Duplicate(msgspec.Struct, frozen=True, kw_only=True, tag="duplicate"):
    """A number that had come, or been given up as missing, came (again)."""

    stream: str
    epoch: int
    seq: int


Notice = Hole | NewEpoch | Duplicate


class HoleDetector:
    """Feed it every message of the streams of interest, and every heartbeat."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._last: dict[str, int] = {}
        self._complete = False  # streams not in `_last` have sent nothing in this epoch
        self._over = False

    def resume(self, standing: Standing) -> None:
        """Go on where an earlier subscriber stood that had heard a heartbeat."""
        self._epoch, self._last = standing.epoch, dict(standing.last_seq)
        self._complete = True

    @property
    def complete(self) -> bool:
        """Whether a stream that was not heard of in this epoch had sent nothing at some time."""
        return self._complete

    @property
    def epoch(self) -> int | None:
        """The epoch that was heard last."""
        return self._epoch

    @property
    def over(self) -> bool:
        """Whether its publisher has said that it sends no more."""
        return self._over

    def take(self, message: Message) -> list[Notice]:
        """Feed any message."""
        if isinstance(message, Heartbeat):
            notices = self.beat(message.epoch, message.last_seq)
            # Heartbeats name all streams of their epoch: no more than one of them is remembered.
            self._last = {stream: self._last[stream] for stream in message.last_seq}
            self._over = message.final
            return notices
        return self.feed(message.epoch, message.stream, message.seq)

    def feed(self, epoch: int, stream: str, seq: int) -> list[Notice]:
        """Feed the number of one result, event or health message."""
        notices = self._turn(epoch)
        last = self._last.get(stream, 0 if self._complete else seq - 1)
        if seq <= last:
            return [*notices, Duplicate(stream=stream, epoch=epoch, seq=seq)]
        return [*notices, *self._advance(stream, last, seq, seq - 1)]

    def beat(self, epoch: int, last_seq: dict[str, int]) -> list[Notice]:
        """Feed a heartbeat: what it says was sent and has not come will not come."""
        notices = self._turn(epoch)
        for stream, sent in last_seq.items():
            last = self._last.get(stream, 0 if self._complete else sent)
            notices += self._advance(stream, last, max(sent, last), sent)
        self._complete = True
        return notices

    def _turn(self, epoch: int) -> list[Notice]:
        previous, self._epoch = self._epoch, epoch
        if previous is None or previous == epoch:
            return []
        heard, self._last = self._last, {}
        self._complete = True  # this run began while we listened
        self._over = False
        return [NewEpoch(epoch=epoch, previous=previous, heard=heard)]

    def _advance(self, stream: str, last: int, to: int, missing_to: int) -> list[Notice]:
        self._last[stream] = to
        if missing_to <= last:
            return []
        assert self._epoch is not None
        return [Hole(stream=stream, epoch=self._epoch, first=last + 1, last=missing_to)]
