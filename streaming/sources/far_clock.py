"""The seam between another host's clock and the source whose programs run there."""

from __future__ import annotations

from typing import Protocol

from streaming.clock_exchange import News


class FarClock(Protocol):
    """What a source may ask of another host's clock."""

    def at(self, host_ns: int) -> tuple[int, int]:
        """Session time of that host's `host_ns`, and by how much it may be off at most."""
        ...

    def doubt(self) -> None:
        """A time of that host was impossible: look again soon."""
        ...

    def news(self) -> list[News]:
        """What is to be told since the last call."""
        ...

    def close(self) -> None:
        """Ask no more. May be called twice."""
        ...
