"""Words from a WebSocket server, with the library websockets.

Invariant: a server that is gone, or does not answer pings, is a loss within about 2 s; what came
before is read before the loss is told.
"""

from __future__ import annotations

import logging

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode
from websockets.sync.client import connect

from streaming.clock import Clock
from streaming.errors import PortLostError, SourceError
from streaming.sources.text_address import TextAddress
from streaming.sources.text_port import CUT_BYTES, Arrival
from streaming.sources.websocket_fault import fault_of, own_code

# What the library says of a connection is told as health, without its traceback.
log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)  # below, it writes down headers
log.addFilter(lambda record: not record.exc_info)

OPEN_S, CLOSE_S = 3.0, 0.3
PING_S, PONG_S = 0.6, 1.0  # with CLOSE_S, silence is seen within 2 s


class WebSocketPort:
    """Connected to one server."""

    def __init__(self, address: TextAddress, clock: Clock) -> None:
        self._clock, self._gone = clock, ""
        try:
            self._socket = connect(
                address.endpoint,
                legacy=True,  # one connection; it is made anew elsewhere
                proxy=None if address.local else True,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                ping_interval=PING_S,
                ping_timeout=PONG_S,
                max_size=CUT_BYTES,
                max_queue=address.waiting,  # frames; beyond it the server waits
                logger=log,
            )
        except (OSError, WebSocketException) as error:
            raise SourceError(
                f"{address.name}: expected a WebSocket server, but {_reason(error)}; start it, or "
                "check the address"
            ) from None

    def start(self) -> None:
        """Nothing to do: it is connected."""

    def read(self, timeout_s: float) -> Arrival | None:
        """See `TextPort`."""
        if self._gone:
            raise PortLostError(self._gone)
        try:
            data = self._socket.recv(timeout=timeout_s, decode=False)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            return self._ended(error)
        return Arrival(data=data, arrival_ns=self._clock.now_ns())

    def close(self) -> None:
        """Say goodbye, if there is still somebody."""
        self._socket.close()

    def _ended(self, error: ConnectionClosed) -> Arrival:
        """What there is to refuse of the last message, if that ended the connection."""
        fault = fault_of(error)
        if not fault:
            silent = own_code(error) == CloseCode.INTERNAL_ERROR
            raise PortLostError(
                "the server does not answer pings" if silent else "the server closed the connection"
            )
        self._gone = "the connection was closed for a message that cannot be taken"
        return Arrival(arrival_ns=self._clock.now_ns(), fault=fault)


def _reason(error: Exception) -> str:
    """One line, with nothing of the address in it."""
    if isinstance(error, InvalidStatus):
        return f"it answered with HTTP status {error.response.status_code}"
    if isinstance(error, TimeoutError):
        return f"there was no answer in {OPEN_S:.0f} s"
    if isinstance(error, OSError):
        return f"it cannot be reached ({error.strerror or type(error).__name__})"
    return f"what answers is none ({type(error).__name__})"
