"""What all actors of a run share: how they are found, stopped, and known to live.

Every actor answers `ready` once it can work at full speed, then `where`, then `run` until its work
is over, and `stop`; while it runs it gives signs of life. `hold` and `resend` go to the link behind
it, when the actor there was lost. Failures that a user can mend come back as text; anything else
raises through Ray.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from actors.link import PullLink, PushLink
from actors.memory import give_back_meanwhile
from actors.pulse import Pulse
from actors.records import RecordKeeper, listen
from actors.report import cpu_seconds
from actors.session_clock import SessionClock
from actors.wires import Wires
from streaming.clock import SystemClock
from streaming.errors import AttuneError
from streaming.settings import AttuneSettings

if TYPE_CHECKING:
    from streaming.sources.far_clock import FarClock

HOLD_S = 2.0
DRIVER = "driver"  # the process that supervises, as a reader of standard input


class Node:
    """What all actors share: settings, a clock, a way to be stopped, and signs of life.

    `wires`: how it reaches the others. `name`, `turn`: who this is, and how many had its place
    before.
    """

    takes = True  # whether others hand over to it

    def __init__(
        self, settings: AttuneSettings, wires: Wires, name: str = "", turn: int = 0
    ) -> None:
        self._settings, self._wires = settings, wires
        self._name, self._turn = name, turn
        self._clock = SessionClock(SystemClock())
        self._stop = threading.Event()
        self._link: PushLink | None = None
        self._keeper: RecordKeeper | None = None
        if name != DRIVER:  # a process of its own
            self._keeper = RecordKeeper()
            listen(self._keeper)
            give_back_meanwhile(self._stop)

    def ready(self) -> tuple[str, int] | None:
        """Become able to work; None, or what is wrong and the exit code."""
        try:
            if self._wires.clock:
                self._clock = SessionClock(SystemClock(), _asked_clock(self._wires))
            self._prepare()
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def where(self) -> tuple[int, str]:
        """The process to kill when it hangs, and the address where it takes hand-overs."""
        if not self.takes:
            return os.getpid(), ""
        address = self._wires.own.format(f"{self._name}-{self._turn}")
        self._pull = PullLink(address, self._wires.binding)
        return os.getpid(), self._pull.address

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def hold(self) -> bool:
        """Keep what is handed on: nobody is there to take it."""
        return self._link is None or self._link.hold(HOLD_S)

    def resend(self, address: str) -> None:
        """Hand on again what was kept, and go on; the next part is at `address` now."""
        if self._link is not None:
            self._link.resend(address)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of this actor's process so far, and of those it has begun, by name."""
        return {self._name: cpu_seconds()}

    def _prepare(self) -> None:
        """What is to be done before `run`. Raises AttuneError."""

    def _push(self, address: str) -> PushLink:
        self._link = PushLink(address, self._wires.connecting)
        return self._link

    def _pulse(self) -> Pulse:
        wires, who = self._wires, (self._name, self._turn)
        return Pulse(
            wires.pulse, *who, self._clock, self._elsewhere_s, self._keeper, wires.connecting
        )

    def _elsewhere_s(self) -> float:
        """CPU seconds of processes that it has begun."""
        return 0.0


def _asked_clock(wires: Wires) -> FarClock:
    from streaming.sources.zmq_far_clock import AskedClock

    return AskedClock(wires.clock, wires.connecting, SystemClock())
