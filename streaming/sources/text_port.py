"""The seam between a socket on which words come and the source that reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from streaming.sources.kept_port import Port

CUT_BYTES = 128 << 10  # a larger message is not received: its connection is closed


def _unheard(refusal: str) -> None:
    """Nobody waits for an answer."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it came, at `arrival_ns` of session time. `fault`: why it is none.

    `answer`: told once why the message is refused, or nothing where it is taken.
    """

    data: bytes = b""
    arrival_ns: int
    fault: str = ""
    answer: Callable[[str], None] = _unheard


class TextPort(Port, Protocol):
    """An opened socket."""

    def read(self, timeout_s: float) -> Arrival | None:
        """The next message, or None when none came in time; `PortLostError` when none will."""
        ...
