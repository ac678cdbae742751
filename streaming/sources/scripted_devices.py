"""Devices that do what a script says, on a clock driven by hand: for tests.

Invariant: no thread and no waiting; reading moves the hand clock to where the script says that
the device answered. In a script, an int is a silence of so many nanoseconds, an error is raised
in its place, and a script that is over is a device that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from streaming.clock import NS_PER_S, HandClock
from streaming.errors import PortLostError
from streaming.sources.frame_port import Shot
from streaming.sources.sound_port import SoundBlock
from streaming.sources.text_port import Arrival

A = TypeVar("A", SoundBlock, Shot, Arrival)


class _Script(Generic[A]):
    """What a device answers, one after another."""

    def __init__(self, clock: HandClock, script: Sequence[A | int | Exception]) -> None:
        self.closed = False
        self._clock = clock
        self._script: Iterator[A | int | Exception] = iter(script)
        self._silence_ns = 0

    def start(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Note that the device was given back."""
        self.closed = True

    def _next(self, timeout_s: float) -> A | None:
        if self._silence_ns <= 0:
            answer = next(self._script, PortLostError("the script is over"))
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, int):
                self._clock.wait_until(answer.arrival_ns)
                return answer
            self._silence_ns = answer
        self._clock.advance(round(timeout_s * NS_PER_S))
        self._silence_ns -= round(timeout_s * NS_PER_S)
        return None


class ScriptedSound(_Script[SoundBlock]):
    """A microphone."""

    def __init__(
        self, clock: HandClock, rate_hz: int, script: Sequence[SoundBlock | int | Exception]
    ) -> None:
        super().__init__(clock, script)
        self.rate_hz = rate_hz

    def read(self, timeout_s: float) -> SoundBlock | None:
        """What the script says next."""
        return self._next(timeout_s)


class ScriptedFrames(_Script[Shot]):
    """A camera."""

    def __init__(
        self,
        clock: HandClock,
        frame_ns: int,
        script: Sequence[Shot | int | Exception],
        *,
        complaint: str = "",
    ) -> None:
        super().__init__(clock, script)
        self.frame_ns = frame_ns
        self.complaint = complaint
        self.seen_ns = 0

    def read(self, timeout_s: float, from_ns: int) -> Shot | None:
        """What the script says next, whatever `from_ns`."""
        shot = self._next(timeout_s)
        if shot is not None:
            self.seen_ns = shot.arrival_ns
        return shot


class ScriptedWords(_Script[Arrival]):
    """A socket on which words come."""

    def read(self, timeout_s: float) -> Arrival | None:
        """What the script says next."""
        return self._next(timeout_s)
