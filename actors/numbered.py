"""Hand-overs by number: what was sent and did not arrive is sent again.

Pure: bytes and the time in, bytes out. A connection may lose what is on its way, in silence where
libzmq gives it up for a byte that arrived wrong. Invariant: a receiver takes each hand-over of a
sender once and in order, whatever is lost or comes twice, but for those that the sender no longer
has; these it counts.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from dataclasses import dataclass

KEPT_S = 30.0
KEPT_BYTES = 32 * 2**20
PATIENCE_S, MOST_PATIENCE_S = 2.0, 32.0  # how long no answer is awaited, at first and at most
AGAIN_S = 0.5  # what was just sent again is not asked for anew
FORGET_S = 2 * KEPT_S

_HEAD = struct.Struct("<8sQQ")  # sender, oldest number that it still has, number
_ANSWER = struct.Struct("<Q?")  # number that is awaited, whether a later one came instead

Parcel = tuple[bytes, bytes]  # head and data


@dataclass(frozen=True)
class _Kept:
    at_s: float
    number: int
    data: bytes


class Outgoing:
    """What one sender has sent. `keeps`: whether it keeps what has arrived, for `KEPT_S`, so that a
    receiver that takes another's place can be given it."""

    def __init__(self, now_s: float, *, keeps: bool = True) -> None:
        self._sender = os.urandom(8)
        self._keeps = keeps
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._next = self._arrived = 0  # numbers below the second have arrived
        self._heard_s, self._patience_s = now_s, PATIENCE_S
        self._again_s = now_s - AGAIN_S

    def add(self, data: bytes, now_s: float) -> Parcel:
        """Number `data`, and keep it within bounds of age and size."""
        if not self.unanswered:
            self._heard_s = now_s
        kept = _Kept(now_s, self._next, data)
        self._kept.append(kept)
        self._bytes += len(data)
        self._next += 1
        self._trim(now_s)
        return self._parcel(kept)

    @property
    def unanswered(self) -> bool:
        """Whether something is not known to have arrived."""
        return self._arrived < self._next

    def waiting(self) -> list[Parcel]:
        """All that is not known to have arrived, oldest first."""
        return [self._parcel(kept) for kept in self._kept if kept.number >= self._arrived]

    def hear(self, answer: bytes, now_s: float) -> bool:
        """Take an answer; whether what is `waiting` has to be sent again."""
        if len(answer) != _ANSWER.size:
            return False
        awaited, lacks = _ANSWER.unpack(answer)
        self._heard_s, self._patience_s = now_s, PATIENCE_S
        if self._arrived < awaited <= self._next:
            self._arrived = awaited
            self._trim(now_s)
        if not lacks or awaited != self._arrived or now_s - self._again_s < AGAIN_S:
            return False
        self._again_s = now_s
        return True

    def overdue(self, now_s: float) -> bool:
        """Whether the connection must be taken for lost; what is `waiting` then goes over a new
        one. Each time it is waited twice as long: who does not answer may only be stuck."""
        if not self.unanswered or now_s - self._heard_s < self._patience_s:
            return False
        self._heard_s = self._again_s = now_s
        self._patience_s = min(2 * self._patience_s, MOST_PATIENCE_S)
        return True

    def begin_again(self, now_s: float) -> None:
        """All that is kept is to be given to a receiver that knows nothing."""
        self._arrived = self._kept[0].number if self._kept else self._next
        self._heard_s, self._patience_s = now_s, PATIENCE_S

    def _parcel(self, kept: _Kept) -> Parcel:
        return _HEAD.pack(self._sender, self._kept[0].number, kept.number), kept.data

    def _trim(self, now_s: float) -> None:
        while self._kept:
            oldest = self._kept[0]
            arrived = oldest.number < self._arrived
            spare = oldest.at_s < now_s - KEPT_S or self._bytes > KEPT_BYTES
            if not (arrived and not self._keeps) and not (spare and len(self._kept) > 1):
                return
            self._kept.popleft()
            self._bytes -= len(oldest.data)


class Incoming:
    """What has come from each sender. `lost`: how many hand-overs no sender had any more."""

    def __init__(self) -> None:
        self._awaited: dict[bytes, int] = {}
        self._lacks: set[bytes] = set()
        self._heard_s: dict[bytes, float] = {}
        self.lost = 0

    def take(self, head: bytes, now_s: float) -> tuple[bytes, bool]:
        """The sender, and whether the data behind this head is to be used. Raises ValueError."""
        if len(head) != _HEAD.size:
            raise ValueError(f"expected a head of {_HEAD.size} bytes, got {len(head)}")
        sender, oldest, number = _HEAD.unpack(head)
        awaited = self._awaited.get(sender, oldest)
        self.lost += max(oldest - awaited, 0)
        awaited = max(oldest, awaited)
        fits = number == awaited
        self._awaited[sender], self._heard_s[sender] = awaited + fits, now_s
        if fits:
            self._lacks.discard(sender)
        elif number > awaited:
            self._lacks.add(sender)
        return sender, fits

    def lacks(self, sender: bytes) -> bool:
        """Whether a later hand-over came in the place of the one that is awaited."""
        return sender in self._lacks

    def answer(self, sender: bytes) -> bytes:
        """What to tell a sender: the number that is awaited of it."""
        return _ANSWER.pack(self._awaited[sender], self.lacks(sender))

    def forget(self, now_s: float) -> list[bytes]:
        """Senders that have been silent for longer than they keep what they sent."""
        silent = [one for one, at_s in self._heard_s.items() if at_s < now_s - FORGET_S]
        for sender in silent:
            del self._awaited[sender], self._heard_s[sender]
            self._lacks.discard(sender)
        return silent
