"""How the parts of a run reach one another: paths on one machine, tcp with keys on several.

The keys are made for the run and are nowhere but in the memory of its parts.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from actors.pulse import Pulses
from streaming.clock_port import ClockPort
from streaming.keys import ClientKeys, ServerKeys, run_keys


@dataclass(frozen=True)
class Wires:
    """What a part needs to know. `own`: where it may bind, with `{}` for its name; `pulse`: where
    signs of life go; `clock`: where session time is told, empty where it is the host's own.
    """

    own: str = "ipc://{}"
    pulse: str = ""
    clock: str = ""
    binding: ServerKeys | None = field(default=None, repr=False)
    connecting: ClientKeys | None = field(default=None, repr=False)


class Switchboard:
    """The driver's end: signs of life come in, session time goes out. `host`: the driver's address,
    if there are other machines; empty: paths will do."""

    def __init__(self, host: str = "") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="attune-"))
        self.view_address = f"ipc://{self._folder}/view"
        binding, connecting = run_keys() if host else (None, None)
        own = _any_port(host) if host else f"ipc://{self._folder}/{{}}"
        self.pulses = Pulses(own.format("pulse"), binding)
        self._stop = threading.Event()
        self._clock = ClockPort(own, binding) if host else None
        self._thread = threading.Thread(target=self._tell_time, daemon=True)
        self._thread.start()
        self.here = Wires(own, self.pulses.address, "", binding, connecting)

    def wires(self, host: str, *, away: bool) -> Wires:
        """For a part at the address `host`; `away`: on another node than the driver."""
        if self._clock is None:
            return self.here
        clock = self._clock.address if away else ""
        return replace(self.here, own=_any_port(host), clock=clock)

    def close(self) -> None:
        """Hang up, and remove what was made."""
        self._stop.set()
        self._thread.join()
        self.pulses.close()
        if self._clock is not None:
            self._clock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell_time(self) -> None:
        if self._clock is not None:
            self._clock.serve(self._stop)


def _any_port(host: str) -> str:
    return f"tcp://[{host}]:*" if ":" in host else f"tcp://{host}:*"
