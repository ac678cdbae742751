"""One part of the pipeline as a Ray actor that can be replaced.

A part is placed, found ready, begun, and either comes to its end or is lost. Invariant: what is
lost is dead before another one takes its place.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from actors.messages import Assigned
from actors.vitals import Vitals
from streaming.errors import AttuneError

HOLD_S = 3.0


class LostError(Exception):
    """The part died or hangs; the text says how."""


class Part:
    """`make` places an actor (given how many there were before), `arguments` are those of `run`."""

    def __init__(
        self,
        name: str,
        make: Callable[[int], Any],
        arguments: Callable[[], tuple[Any, ...]],
        restarts: int,
        hang_ns: int,
        *,
        standby: bool = False,
    ) -> None:
        self.name = name
        self.turn = 0
        self.vitals = Vitals(restarts, hang_ns)
        self.why, self.lost_ns = "", 0
        self.done, self.outcome = False, None
        self.running: Any = None
        self.held: list[Any] = []
        self._make, self._arguments = make, arguments
        self._standby = standby
        self._spare: Any = None
        self._actor: Any = None
        self._ready: Any = None
        self._pid = 0

    def place(self) -> None:
        """Have the actor made; it is not waited for."""
        self._actor, self._spare = self._spare or self._make(self.turn), None
        self._ready = self._actor.ready.remote()

    def complaint(self) -> tuple[str, int] | None:
        """Wait until the actor is ready; None, or what is wrong and the exit code."""
        complaint: tuple[str, int] | None = _get(self._ready)
        return complaint

    def begin(self, now_ns: int) -> None:
        """Let it run."""
        self._pid = _get(self._actor.pid.remote())
        self.running = self._actor.run.remote(*self._arguments())
        self.vitals.heard(now_ns)
        if self._standby and self._spare is None:
            self._spare = self._make(self.turn + 1)
            self._spare.ready.remote()

    def check(self, now_ns: int) -> bool:
        """True when a placed actor has become ready. Raises LostError when it died or hangs."""
        if self.done:
            return False
        if self.running is None:
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
        self.place()

    def await_held(self) -> None:
        """Wait until those before it have stopped sending."""
        for ref in self.held:
            with suppress(RayError):
                ray.get(ref, timeout=HOLD_S)
        self.held = []

    def hold(self) -> Any:
        """Ask its link to hold; what to wait for."""
        return self._actor.hold.remote()

    def resend(self) -> None:
        """Ask its link to send again what it kept."""
        self._actor.resend.remote()

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
        if self._actor is not None:
            self._actor.stop.remote()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of the present actor's process, and of those it has begun, by name; 0 when it
        does not answer."""
        try:
            return dict(ray.get(self._actor.cpu_s.remote(), timeout=HOLD_S))
        except RayError:
            return {self.name: 0.0}

    def _is_ready(self) -> bool:
        if not ray.wait([self._ready], timeout=0)[0]:
            return False
        complaint = _get(self._ready)
        if complaint is not None:
            raise LostError(complaint[0])
        return True

    def _kill(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # one that is stopped heeds nothing else
        with suppress(RayError):
            ray.kill(self._actor)
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


def quiet_ray() -> None:
    """Keep Ray's long notices about lost workers off the terminal: Attune says it in a line."""
    worker: Any = ray._private.worker
    worker.print_to_stdstream = lambda data, ignore_prefix: None


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
    lines = str(cause).strip().splitlines()
    return lines[-1] if lines else name
