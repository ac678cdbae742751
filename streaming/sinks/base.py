"""What a sink is. Every sink passes the suite in tests/contract/test_sinks.py.

Invariants: messages leave in the order in which they were sent; what was sent before `flush` or
`close` returned without error is out; `close` may be called again; `send` after `close` is a
SinkError. A sink never waits for a slow reader on the other side of a network.
"""

from __future__ import annotations

from typing import Protocol

from streaming.errors import SinkError


class Sink(Protocol):
    """A place for encoded messages. `live`: somebody waits at the other end, so heartbeats help."""

    live: bool

    def send(self, topic: bytes, payload: bytes) -> None:
        """Take one message."""
        ...

    def flush(self) -> None:
        """Hand on what was taken."""
        ...

    def close(self) -> None:
        """Hand on what was taken, and let go of file or address."""
        ...


def require_open(closed: bool, name: str) -> None:
    """Refuse to send into a sink that was closed."""
    if closed:
        raise SinkError(f"{name} is closed: nothing can be sent to it any more")
