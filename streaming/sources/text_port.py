"""The seam between a socket on which words come and the source that reads it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from streaming.sources.kept_port import Port

CUT_BYTES = 1 << 20  # a larger message is not received: its connection is closed


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it came, at `arrival_ns` of session time. `fault`: why it is none."""

    data: bytes = b""
    arrival_ns: int
    fault: str = ""


class TextPort(Port, Protocol):
    """An opened socket."""

    def read(self, timeout_s: float) -> Arrival | None:
        """The next message, or None when none came in time; `PortLostError` when none will."""
        ...
