"""Asking another host for its time: what is said, when to ask, and what is to be told.

Neither a socket nor a clock is used here. Invariant: one question is open at a time, and an answer
counts once, with the time at which its own question was asked.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import HealthKind
from streaming.host_clock import PPM, RATE_PPM, SLOWEST_NS, Exchange, HostClock, Verdict
from streaming.undecodable import UNDECODABLE

MESSAGE_BYTES = 1024
FIRST, SOON_NS = 8, 50 * NS_PER_MS  # so many at first, and after a doubt, follow each other fast
PERIOD_NS = 250 * NS_PER_MS
LOST_NS = 3 * NS_PER_S

News = tuple[HealthKind, str]
Instant = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Number = Annotated[int, Meta(ge=0, le=2**53)]


class ClockRequest(msgspec.Struct, frozen=True, kw_only=True, tag="clock"):
    """What is your time? `id` comes back with the answer."""

    id: Number


class ClockReply(msgspec.Struct, frozen=True, kw_only=True, tag="clock"):
    """By the clock of the one who answers: when the question came and when this left."""

    id: Number
    received_ns: Instant
    replied_ns: Instant


_REQUEST: msgspec.json.Decoder[ClockRequest] = msgspec.json.Decoder(ClockRequest)
_REPLY: msgspec.json.Decoder[ClockReply] = msgspec.json.Decoder(ClockReply)
encode = msgspec.json.Encoder().encode


def decode_request(data: bytes) -> ClockRequest | None:
    """The question in `data`, if it is one."""
    try:
        return _REQUEST.decode(data)
    except UNDECODABLE:
        return None


class Asking:
    """The asking side, from the first question on. `name`: whom, fit to be shown."""

    def __init__(self, name: str, now_ns: int) -> None:
        self.clock = HostClock()
        self.due_ns = now_ns
        self._name, self._id, self._asked_ns = name, 0, now_ns
        self._open = False
        self._soon = FIRST
        self._heard_ns, self._lost = now_ns, False
        self._news: list[News] = []

    def ask(self, now_ns: int) -> bytes:
        """The question to be sent right now."""
        self._id, self._asked_ns, self._open = self._id + 1, now_ns, True
        self.due_ns = now_ns + SLOWEST_NS
        return encode(ClockRequest(id=self._id))

    def unsent(self, now_ns: int) -> None:
        """The question could not be sent: there is no connection."""
        self._open, self.due_ns = False, now_ns + PERIOD_NS

    def hear(self, data: bytes, now_ns: int) -> None:
        """Take what came."""
        try:
            reply = _REPLY.decode(data)
        except UNDECODABLE:
            return
        if not self._open or reply.id != self._id:
            return
        self._open = False
        exchange = Exchange(self._asked_ns, reply.received_ns, reply.replied_ns, now_ns)
        self._take(self.clock.observe(exchange), now_ns)
        self._soon = max(self._soon - 1, 0)
        hurry = self._soon > 0 or self.clock.doubtful
        self.due_ns = now_ns + (SOON_NS if hurry else PERIOD_NS)

    def doubt(self) -> None:
        """A time of that host was impossible: ask again soon."""
        self._soon = max(self._soon, 1)
        if not self._open:
            self.due_ns = min(self.due_ns, self._heard_ns + SOON_NS)

    def news(self, now_ns: int) -> list[News]:
        """What is to be told since the last call."""
        if not self._lost and now_ns - self._heard_ns > LOST_NS:
            self._lost = True
            self._tell(
                HealthKind.DESYNCHRONISED,
                f"no usable answer for {LOST_NS / NS_PER_S:.0f} s; times are dated by what is "
                f"known, less surely by {RATE_PPM * 1000 / PPM:g} ms a second",
            )
        told, self._news = self._news, []
        return told

    def _take(self, verdict: Verdict, now_ns: int) -> None:
        if verdict in (Verdict.ABSURD, Verdict.QUARANTINED):
            return
        self._heard_ns = now_ns
        if verdict is Verdict.ANCHORED:
            self._soon = FIRST
        if verdict is Verdict.ANCHORED and self.clock.epoch > 1:
            jumped = f"jumped by {self.clock.jump_ns / NS_PER_S:+.3f} s"
            self._tell(HealthKind.CLOCK_JUMP, f"{jumped}; epoch {self.clock.epoch} begins")
        if self._lost:
            self._lost = False
            self._tell(HealthKind.RECOVERED, "it answers again")

    def _tell(self, kind: HealthKind, words: str) -> None:
        self._news.append((kind, f"the clock at {self._name}: {words}"))
