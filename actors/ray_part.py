"""One part of the pipeline as a Ray actor that can be replaced.

A part is placed, found ready, begun, and either comes to its end or is lost. Invariant: what is
lost is dead, or its node does not answer, before another one takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from actors.messages import Assigned
from actors.places import Place, Places
from actors.vitals import Vitals
from streaming.clock import NS_PER_S
from streaming.errors import AttuneError

HOLD_S = 3.0
AGAIN_NS = NS_PER_S // 2  # after which a node that is away is looked for again


class LostError(Exception):
    """The part died or hangs; the text says how."""


@dataclass(frozen=True)
class Made:
    """An actor, and where it is."""

    actor: Any
    place: Place


class Part:
    """`make` places an actor, given how many there were before; None while its node is away.
    `arguments` are those of `run`."""

    def __init__(
        self,
        name: str,
        places: Places,
        make: Callable[[int], Made | None],
        arguments: Callable[[], tuple[Any, ...]],
        restarts: int,
        hang_ns: int,
        *,
        standby: bool = False,
    ) -> None:
        self.name, self._places = name, places
        self.address = ""
        self.turn = 0
        self.vitals = Vitals(restarts, hang_ns)
        self.why, self.lost_ns = "", 0
        self.done, self.outcome = False, None
        self.running: Any = None
        self.held: list[Any] = []
        self._make, self._arguments = make, arguments
        self._standby = standby
        self._spare: Made | None = None
        self._made: Made | None = None
        self._ready: Any = None
        self._pid, self._again_ns = 0, 0

    @property
    def waits(self) -> bool:
        """Whether there is no node for it."""
        return self._made is None

    @property
    def place(self) -> Place | None:
        """Where it is, if it is anywhere."""
        return self._made.place if self._made else None

    def settle(self) -> None:
        """Have the actor made; it is not waited for."""
        self._made, self._spare = self._spare or self._make(self.turn), None
        self._ready = self._actor.ready.remote() if self._made else None

    def complaint(self) -> tuple[str, int] | None:
        """Wait until the actor is ready; None, or what is wrong and the exit code."""
        complaint: tuple[str, int] | None = _get(self._ready)
        return complaint

    def begin(self, now_ns: int) -> None:
        """Let it run."""
        self._pid, self.address = _get(self._actor.where.remote())
        self.running = self._actor.run.remote(*self._arguments())
        self.vitals.heard(now_ns)
        if self._standby and self._spare is None:
            self._spare = self._make(self.turn + 1)
            if self._spare:
                self._spare.actor.ready.remote()

    def check(self, now_ns: int) -> bool:
        """True when a placed actor has become ready. Raises LostError when it died or hangs."""
        if self.done:
            return False
        if self.running is None:
            if self.waits and now_ns >= self._again_ns:
                self._again_ns = now_ns + AGAIN_NS
                self.settle()
            return self._is_ready()
        if ray.wait([self.running], timeout=0)[0]:
            self.outcome = _get(self.running)
            self.done = True
        elif self.vitals.hangs(now_ns):
            raise LostError("it did not answer")
        return False

    def replace(self, why: str, now_ns: int) -> None:
        """Make sure that it is dead, and have another placed."""
        self._kill()
        self.why, self.lost_ns = why, self.lost_ns if self.running is None else now_ns
        self.running = None
        self.turn += 1
        self.settle()

    def await_held(self) -> None:
        """Wait until those before it have stopped sending."""
        for ref in self.held:
            with suppress(RayError):
                ray.get(ref, timeout=HOLD_S)
        self.held = []

    def hold(self) -> Any:
        """Ask its link to hold; what to wait for."""
        return self._actor.hold.remote()

    def retire(self) -> None:
        """Make sure that it is dead; nothing takes its place."""
        self._kill()
        self._made, self.done = None, True

    def take_over(self, streams: Sequence[Assigned]) -> None:
        """Have it read streams of another one."""
        self._actor.take_over.remote(streams)

    def resend(self, address: str) -> None:
        """Ask its link to send again what it kept, to `address`."""
        self._actor.resend.remote(address)

    @property
    def at_work(self) -> bool:
        """Whether it runs, as far as is known."""
        return self.running is not None and not self.done

    def open(self, assigned: Assigned) -> Asked:
        """Have it open one more stream."""
        return Asked(self._actor.open.remote(assigned))

    def start_one(self, name: str) -> None:
        """Have it read a stream that is open."""
        self._actor.start_one.remote(name)

    def stop_one(self, name: str) -> None:
        """Have it end one of its streams in good order."""
        self._actor.stop_one.remote(name)

    def stop(self) -> None:
        """Ask it to end in good order."""
        if self._made:
            self._actor.stop.remote()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of the present actor's process, and of those it has begun, by name; 0 when it
        does not answer."""
        if self.waits:
            return {self.name: 0.0}
        try:
            return dict(ray.get(self._actor.cpu_s.remote(), timeout=HOLD_S))
        except RayError:
            return {self.name: 0.0}

    @property
    def _actor(self) -> Any:
        assert self._made is not None
        return self._made.actor

    def _is_ready(self) -> bool:
        if self.waits or not ray.wait([self._ready], timeout=0)[0]:
            return False
        complaint = _get(self._ready)
        if complaint is not None:
            raise LostError(complaint[0])
        return True

    def _kill(self) -> None:
        if self._made is None:
            return
        if self._pid:
            self._places.kill(self._made.place, self._pid)
        with suppress(RayError):
            ray.kill(self._made.actor)
        self._pid = 0


class Asked:
    """A call to an actor that answers with what is wrong, or None."""

    def __init__(self, ref: Any) -> None:
        self._ref = ref

    def complaint(self) -> tuple[bool, str | None]:
        """Whether there is an answer, and what it says."""
        if not ray.wait([self._ref], timeout=0)[0]:
            return False, None
        try:
            found = _get(self._ref)
        except LostError as loss:
            return True, f"the reader was lost: {loss}; ask again"
        return True, found[0] if found else None


def _get(ref: Any) -> Any:
    """What `ref` came to; an error of ours as it is, any other as LostError."""
    try:
        return ray.get(ref)
    except GetTimeoutError:
        raise
    except RayError as error:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, AttuneError):
            raise cause from None
        raise LostError(_in_a_line(cause)) from error


def _in_a_line(cause: BaseException) -> str:
    name = type(cause).__name__
    if name == "ActorDiedError":
        return "its process died"
    if name == "ActorUnavailableError":
        return "its process does not answer"
    lines = str(cause).strip().splitlines()
    return lines[-1] if lines else name
