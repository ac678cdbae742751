"""Why a WebSocket was closed from this side: for a message, or without one."""

from __future__ import annotations

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from streaming.sources.text_port import CUT_BYTES

_NO_MESSAGE = (
    None,
    CloseCode.NORMAL_CLOSURE,
    CloseCode.GOING_AWAY,
    CloseCode.INTERNAL_ERROR,  # no answer to pings
)


def own_code(error: ConnectionClosed) -> int | None:
    """The code with which this side closed; None where the other one did."""
    return error.sent.code if error.sent is not None and not error.rcvd_then_sent else None


def fault_of(error: ConnectionClosed) -> str:
    """What was wrong with the message for which this side closed; empty where there is none."""
    own = own_code(error)
    if own in _NO_MESSAGE:
        return ""
    large = own == CloseCode.MESSAGE_TOO_BIG
    fault = f"has over {CUT_BYTES} bytes" if large else "breaks the protocol of WebSockets"
    return f"a message {fault}"
