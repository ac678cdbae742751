"""Signs of life: each actor says a few times a second that its loop turns, and where it stands.

A process that hangs or is stopped keeps its sockets and its exit code to itself; only its silence
gives it away. What an actor says here is also what the one that takes its place begins with.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from actors.accounts import Carried
from actors.link import PullLink, PushLink
from actors.messages import Beginning
from actors.records import RecordKeeper, Said
from streaming.clock import NS_PER_MS, Clock
from streaming.figures import GpuUse
from streaming.keys import ClientKeys, ServerKeys
from streaming.results import Event

EVERY_NS = 200 * NS_PER_MS
LARGEST = 2**20


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One sign of life of the actor `name`, the `turn`-th to have that name.

    `cpu_s`: CPU time of its process, and of those it has begun, so far. `published`: by stream the
    last window published, `ended`: how many of its segments are over, `will`: of streams of
    which it has said something, the ends to be said if it is lost (the publisher's).
    `accounts`: of the streams' packets (the aligner's). `beginnings`: of the streams (a reader's).
    `waiting`: the most that waited there since the last sign. `records`: what was logged since.
    """

    name: str
    turn: int
    cpu_s: float = 0.0
    published: dict[str, int] | None = None
    ended: dict[str, int] | None = None
    will: dict[str, tuple[Event, ...]] | None = None
    accounts: dict[str, Carried] | None = None
    beginnings: dict[str, Beginning] | None = None
    waiting: int = 0
    gpu: GpuUse | None = None
    records: tuple[Said, ...] = ()


_DECODER = msgspec.msgpack.Decoder(Sign)


class Pulse:
    """The sending end, for the thread that made it. `elsewhere_s`: CPU time of the processes that
    the actor has begun. `keeper`: what is logged in this process."""

    def __init__(
        self,
        address: str,
        name: str,
        turn: int,
        clock: Clock,
        elsewhere_s: Callable[[], float] = lambda: 0.0,
        keeper: RecordKeeper | None = None,
        keys: ClientKeys | None = None,
    ) -> None:
        self._elsewhere_s, self._keeper = elsewhere_s, keeper
        self._name, self._turn, self._clock = name, turn, clock
        self._due_ns = self._waiting = 0
        self._link = PushLink(address, keys, keeps=False, encode=msgspec.msgpack.encode)

    def waits(self, count: int) -> None:
        """Note that `count` hand-overs wait here."""
        self._waiting = max(self._waiting, count)

    def beat(
        self,
        *,
        now: bool = False,
        published: dict[str, int] | None = None,
        ended: dict[str, int] | None = None,
        will: dict[str, tuple[Event, ...]] | None = None,
        accounts: dict[str, Carried] | None = None,
        beginnings: dict[str, Beginning] | None = None,
        gpu: GpuUse | None = None,
    ) -> None:
        """Give a sign if one is due, or `now`; nobody has to listen."""
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns and not now:
            return
        self._due_ns = now_ns + EVERY_NS
        sign = Sign(
            name=self._name,
            turn=self._turn,
            cpu_s=time.process_time() + self._elsewhere_s(),
            published=published,
            ended=ended,
            will=will,
            accounts=accounts,
            beginnings=beginnings,
            waiting=self._waiting,
            gpu=gpu,
            records=self._keeper.take() if self._keeper is not None else (),
        )
        self._waiting = 0
        self._link.offer(sign)

    @property
    def due(self) -> bool:
        """Whether the next `beat` says something."""
        return self._clock.now_ns() >= self._due_ns

    def close(self) -> None:
        """Close at once."""
        self._link.close()


class Pulses:
    """The receiving end, bound at `address`; `address` says afterwards what was bound."""

    def __init__(self, address: str, keys: ServerKeys | None = None) -> None:
        use, decode = "take signs of life on", _DECODER.decode
        self._link = PullLink(address, keys, decode=decode, largest=LARGEST, use=use)
        self.address = self._link.address

    def read(self) -> list[Sign]:
        """All signs that have come."""
        out: list[Sign] = []
        while some := self._link.drain(0):
            out += some
        return out

    def close(self) -> None:
        """Close at once."""
        self._link.close()
