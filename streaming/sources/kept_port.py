"""A device that is opened again when it goes.

Invariant: a loss is news once, and so is its end, which is the first thing that the device
delivers again, not its opening; the pauses between attempts grow as `backoff` says, for a device
that comes and goes, and for one that stays away for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from streaming.clock import NS_PER_MS, NS_PER_S, Clock
from streaming.errors import PortLostError, SourceError
from streaming.sources.backoff import next_delay_s

LOST_NS = 1200 * NS_PER_MS  # without a sign of life
FIRST_NS = 3 * NS_PER_S  # without a first sign of life: devices take a while to begin
WAIT_NS = 100 * NS_PER_MS  # at most at a time, so that the source can promise, or end, meanwhile
AWAY_NS = 200 * NS_PER_MS  # what a device that is back gives is at most so old
SOON = 40  # attempts at a device that is not there, before the pauses grow: ten seconds and more
STEADY_NS = 5 * NS_PER_S  # of life, after which the pauses are short again


class Port(Protocol):
    """What all devices have in common."""

    def start(self) -> None:
        """Let it deliver; `PortLostError` where it went between opening and this."""
        ...

    def close(self) -> None:
        """Give the device back. May be called twice."""
        ...


P = TypeVar("P", bound=Port)


class KeptPort(Generic[P]):
    """Opens at once; `SourceError` where that fails the first time."""

    def __init__(self, open_port: Callable[[], P], clock: Clock) -> None:
        self._open, self._clock = open_port, clock
        self._lost, self._losses, self._refusals, self._retry_ns = False, 0, 0, 0
        self._heard_ns = self._begun_ns = 0
        self.port: P | None = open_port()

    @property
    def away(self) -> bool:
        """Whether it has been lost and not been heard since."""
        return self._lost

    def start(self) -> None:
        """Let the opened device deliver; `PortLostError` where it is gone already."""
        self._heard_ns = self._begun_ns = self._clock.now_ns()
        if self.port is not None:
            self.port.start()

    def heard(self) -> bool:
        """Note a sign of life; True when it ends a loss."""
        self._heard_ns = self._clock.now_ns()
        if self._heard_ns - self._begun_ns >= STEADY_NS:
            self._losses = 0
        was_lost, self._lost = self._lost, False
        return was_lost

    def require_life(self) -> None:
        """`PortLostError` when there was no sign of life for too long."""
        most_ns = FIRST_NS if self._heard_ns == self._begun_ns else LOST_NS
        if self._clock.now_ns() - self._heard_ns >= most_ns:
            raise PortLostError(f"it has given nothing for {most_ns / NS_PER_S:.1f} s")

    def lose(self) -> bool:
        """Close what is gone, to be opened later; True when the loss is news."""
        was_open = self.port is not None
        self.close()
        self._losses += was_open
        self._refusals = 0 if was_open else self._refusals + 1
        failures = max(self._losses, self._refusals - SOON, 1)
        wait_ns = round(next_delay_s(failures) * NS_PER_S)
        self._retry_ns = self._clock.now_ns() + wait_ns
        news, self._lost = not self._lost, True
        return news

    def reopen(self, stop: threading.Event) -> None:
        """Wait a little, and try again once it is time; `PortLostError` where that fails."""
        until_ns = min(self._retry_ns, self._clock.now_ns() + WAIT_NS)
        if not self._clock.wait_until(until_ns, stop) or until_ns < self._retry_ns:
            return
        try:
            self.port = self._open()
        except SourceError as error:
            raise PortLostError(str(error)) from error
        self.start()

    def close(self) -> None:
        """Give the device back."""
        if self.port is not None:
            self.port.close()
            self.port = None
