"""Devices that do what a script says, on a clock driven by hand: for tests.

Invariant: no thread and no waiting; reading moves the hand clock to where the script says that
the device answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streaming.clock import NS_PER_S, HandClock
from streaming.sources.sound_port import PortLostError, SoundBlock


class ScriptedSound:
    """A microphone. In `script`, an int is a silence of so many ns; an error is raised."""

    def __init__(
        self, clock: HandClock, rate_hz: int, script: Sequence[SoundBlock | int | Exception]
    ) -> None:
        self.rate_hz = rate_hz
        self.closed = False
        self._clock = clock
        self._script: Iterator[SoundBlock | int | Exception] = iter(script)
        self._silence_ns = 0

    def start(self) -> None:
        """Nothing to do."""

    def read(self, timeout_s: float) -> SoundBlock | None:
        """What the script says next; a script that is over is a device that is gone."""
        if self._silence_ns <= 0:
            match next(self._script, PortLostError("the script is over")):
                case SoundBlock() as block:
                    self._clock.wait_until(block.arrival_ns)
                    return block
                case int(silence_ns):
                    self._silence_ns = silence_ns
                case Exception() as error:
                    raise error
        self._clock.advance(round(timeout_s * NS_PER_S))
        self._silence_ns -= round(timeout_s * NS_PER_S)
        return None

    def close(self) -> None:
        """Note that the device was given back."""
        self.closed = True
