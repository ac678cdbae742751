"""Words over ZeroMQ: from a publisher (SUB, connects) or from whoever pushes here (PULL, binds).

Invariants: what came before a connection was lost is read before the loss is told; a publisher that
is gone, or silent to heartbeats, is a loss, and libzmq does not connect again on its own, so that
losses and returns are told as for all sources.
"""

from __future__ import annotations

import time
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from streaming.clock import Clock
from streaming.errors import PortLostError, SinkError, SourceError, UsageError
from streaming.keys import read_client_keys, read_server_keys, use_keys
from streaming.sinks.zeromq import BoundSocket
from streaming.sources.text_address import TextAddress
from streaming.sources.text_port import CUT_BYTES, Arrival

OPEN_S = 3.0
OPTIONS = {zmq.MAXMSGSIZE: CUT_BYTES, zmq.LINGER: 0}
# A publisher that stands still is noticed in 2 s. Connecting again is left to `KeptPort`: libzmq's
# own would come in an hour. Switched off (-1), it takes the pipe away while a message is being
# read, and libzmq aborts the process (fq.cpp: !_more).
HEARTBEAT = {zmq.HEARTBEAT_IVL: 800, zmq.HEARTBEAT_TIMEOUT: 1200, zmq.RECONNECT_IVL: 3_600_000}
_REFUSED = {
    zmq.Event.HANDSHAKE_FAILED_AUTH: "it does not let these keys in",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: "it speaks another protocol, or has other keys",
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: "it speaks another protocol, or has other keys",
}
_GONE = {
    **_REFUSED,
    zmq.Event.CLOSED: "nobody answers there",
    zmq.Event.DISCONNECTED: "the publisher is gone",
}
_EVENTS = zmq.Event.HANDSHAKE_SUCCEEDED
for _event in _GONE:
    _EVENTS |= _event

Socket = zmq.Socket[bytes]


class PullPort:
    """Bound here, for any number of programs that PUSH; never lost."""

    def __init__(self, address: TextAddress, keys: str, clock: Clock) -> None:
        self._clock = clock
        try:
            own = read_server_keys(Path(keys)) if keys else None
            options = {**OPTIONS, zmq.RCVHWM: address.waiting}  # beyond it a pusher waits,
            self._bound = BoundSocket(zmq.PULL, address.endpoint, options, own, use="take words on")
        except (SinkError, UsageError) as error:
            raise SourceError(str(error)) from None

    def start(self) -> None:
        """Nothing to do: it is bound."""

    def read(self, timeout_s: float) -> Arrival | None:
        """See `TextPort`."""
        socket = self._bound.socket
        return _arrival(socket, self._clock, most=1) if _ready(socket, timeout_s) else None

    def close(self) -> None:
        """Free the address."""
        self._bound.close(0)


class SubPort:
    """Connected to one publisher; the last frame of a message is the words, the first its topic."""

    def __init__(self, address: TextAddress, keys: str, clock: Clock) -> None:
        self._clock, self._gone = clock, ""
        try:
            own = read_client_keys(Path(keys)) if keys else None
        except UsageError as error:
            raise SourceError(str(error)) from None
        self._socket: Socket = zmq.Context.instance().socket(zmq.SUB)
        for option, value in (OPTIONS | HEARTBEAT).items():
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.RCVHWM, address.waiting)  # and a publisher leaves them out
        self._socket.setsockopt(zmq.IPV6, int("[" in address.endpoint))
        use_keys(self._socket, own)
        self._socket.subscribe(address.topic)
        self._monitor: Socket = self._socket.get_monitor_socket(_EVENTS)
        self._socket.connect(address.endpoint)
        self._require_answer(address)

    def start(self) -> None:
        """Nothing to do: it is connected."""

    def read(self, timeout_s: float) -> Arrival | None:
        """See `TextPort`."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        poller.poll(round(timeout_s * 1000))
        self._watch()
        if _ready(self._socket, 0):
            return _arrival(self._socket, self._clock, most=2)
        if self._gone:
            raise PortLostError(self._gone)
        return None

    def close(self) -> None:
        """Let go of the connection."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._socket.close(0)

    def _require_answer(self, address: TextAddress) -> None:
        until_s = time.monotonic() + OPEN_S  # the network's time, whatever clock packets have
        while (left_s := until_s - time.monotonic()) > 0 and not self._gone:
            if _ready(self._monitor, left_s) and self._watch():
                return
        self.close()
        raise SourceError(
            f"{address.name}: expected a publisher, but "
            f"{self._gone or 'there was no answer in 3 s'}; start it, or check address and keys"
        )

    def _watch(self) -> bool:
        """Read what became of the connection; True when it has come about."""
        made = False
        while _ready(self._monitor, 0):
            event = zmq.Event(recv_monitor_message(self._monitor)["event"])
            made = made or event is zmq.Event.HANDSHAKE_SUCCEEDED
            self._gone = self._gone or _GONE.get(event, "")
        return made and not self._gone


def _ready(socket: Socket, timeout_s: float) -> bool:
    return bool(socket.poll(round(timeout_s * 1000)))


def _arrival(socket: Socket, clock: Clock, *, most: int) -> Arrival:
    """One message of at most `most` frames; of a longer one no more is kept than to refuse it."""
    frames = [socket.recv()]
    count = 1
    while socket.getsockopt(zmq.RCVMORE):
        frames[1:] = [socket.recv()]
        count += 1
    fault = f"a message has {count} frames; expected at most {most}" if count > most else ""
    return Arrival(data=frames[-1], arrival_ns=clock.now_ns(), fault=fault)
