"""How stages in different processes hand over: ZeroMQ, one way of carrying.

Ray places and supervises the stages but carries nothing: a batch costs a tenth of the CPU of a
Ray call this way. A full link makes the sender wait, so that pressure runs back to the sources.
The receiver answers with the number that it awaits, so that what a connection loses is sent again
(`numbered.py`), over a new one where nothing is heard any more: libzmq gives up for good where
bytes arrive broken. The sender keeps what it has sent lately, so that a receiver that takes
another's place can be given it again. One thread at a time may use a link, except for `hold` and
`resend`. Between machines links go over tcp, and with keys.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import zmq

from actors import messages
from actors.numbered import Incoming, Outgoing, Parcel
from streaming.keys import ClientKeys, ServerKeys, use_keys
from streaming.sinks.zeromq import BoundSocket
from streaming.undecodable import UNDECODABLE

log = logging.getLogger(__name__)

IN_FLIGHT = 64  # hand-overs that a link holds on each side before the sender waits
POLL_MS = 100
LINGER_S = 2.0
LARGEST = 32 * 2**20  # of one hand-over, in bytes
ANSWER_S = 0.2  # how often every sender is answered, whether it sends or not


class PushLink:
    """The sending end. `address` is where the other end is bound.

    `keeps`: whether what has arrived is kept to be sent again to another. `encode`: of what is
    handed over.
    """

    def __init__(
        self,
        address: str,
        keys: ClientKeys | None = None,
        *,
        keeps: bool = True,
        encode: Callable[[Any], bytes] = messages.encode,
    ) -> None:
        self._address, self._keys = address, keys
        self._encode = encode
        self._sent = Outgoing(time.monotonic(), keeps=keeps)
        self._unsent: deque[Parcel] = deque()
        self._socket: zmq.Socket[bytes] | None = self._connected()
        self._hold, self._held = threading.Event(), threading.Event()
        self._again = threading.Event()

    def send(
        self, cargo: Any, stop: threading.Event, alive: Callable[[], None] = lambda: None
    ) -> bool:
        """Hand over; waits while the link is full. False when `stop` was set first.

        While the link is held the cargo is only kept. `alive` is called now and then.
        """
        self._obey()
        parcel = self._sent.add(self._encode(cargo), time.monotonic())
        if self._socket is not None:
            self._unsent.append(parcel)
        while not self._pump(POLL_MS):
            alive()
            if stop.is_set():
                return False
        return True

    def offer(self, cargo: Any) -> bool:
        """Hand over what may as well be missed; False when the link is full."""
        self.attend()
        if self._unsent or not self._may(zmq.POLLOUT):
            return False
        self._unsent.append(self._sent.add(self._encode(cargo), time.monotonic()))
        return self._pump()

    def attend(self) -> None:
        """Do what `hold` and `resend` have asked for, and what the other end has."""
        self._obey()
        self._pump()

    def hold(self, timeout_s: float) -> bool:
        """Have the link forget what is under way and only keep; True when it does. Any thread."""
        self._again.clear()
        self._hold.set()
        return self._held.wait(timeout_s)

    def resend(self, address: str = "") -> None:
        """Have the link send all it has kept, to `address` if it is another now, and go on. Any
        thread."""
        self._address = address or self._address
        self._hold.clear()
        self._held.clear()
        self._again.set()

    def close(self, linger_s: float = 0.0) -> None:
        """Close, once all has arrived or `linger_s` are over."""
        until_s = time.monotonic() + linger_s
        while self._socket is not None and self._sent.unanswered and time.monotonic() < until_s:
            self._pump()
            self._socket.poll(POLL_MS, zmq.POLLIN)
        self._hang_up()

    def _obey(self) -> None:
        if self._hold.is_set():
            self._hang_up()
            self._held.set()
        if self._again.is_set():
            self._again.clear()
            self._sent.begin_again(time.monotonic())
            self._connect_anew()

    def _connected(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.SNDHWM, IN_FLIGHT)
        socket.setsockopt(zmq.LINGER, 0)
        use_keys(socket, self._keys)
        socket.setsockopt(zmq.IPV6, int("[" in self._address))
        socket.connect(self._address)
        return socket

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close(0)
        self._socket = None
        self._unsent.clear()

    def _connect_anew(self) -> None:
        self._hang_up()
        self._socket = self._connected()
        self._unsent.extend(self._sent.waiting())

    def _pump(self, wait_ms: int = 0) -> bool:
        """Send what there is to send, as far as there is room; whether that was all. Nothing is
        sent while the link is held."""
        self._hear()
        while self._unsent and self._socket is not None and not self._hold.is_set():
            if not self._may(zmq.POLLOUT) and not self._socket.poll(wait_ms, zmq.POLLOUT):
                self._hear()
                return False
            self._socket.send_multipart(self._unsent.popleft())
        return True

    def _may(self, what: int) -> bool:
        """Whether the socket can take or give a message; a tenth of the cost of a poll."""
        return self._socket is not None and bool(int(self._socket.getsockopt(zmq.EVENTS)) & what)

    def _hear(self) -> None:
        """Take the answers that are there; where there have been none for long, connect anew."""
        while self._socket is not None and self._may(zmq.POLLIN):
            if self._sent.hear(self._socket.recv(), time.monotonic()):
                self._unsent = deque(self._sent.waiting())
        if self._socket is not None and self._sent.overdue(time.monotonic()):
            log.warning("no answer from %s: connecting anew", self._address)
            self._connect_anew()


class PullLink:
    """The receiving end, bound at `address`; `address` says afterwards what was bound.

    `decode`: of what is handed over, at most `largest` bytes.
    """

    def __init__(
        self,
        address: str,
        keys: ServerKeys | None = None,
        *,
        decode: Callable[[bytes], Any] = messages.decode,
        largest: int = LARGEST,
        use: str = "take hand-overs on",
    ) -> None:
        options = {zmq.RCVHWM: IN_FLIGHT, zmq.MAXMSGSIZE: largest}
        self._bound = BoundSocket(zmq.ROUTER, address, options, keys, use=use)
        self._socket, self.address = self._bound.socket, self._bound.address
        self._decode = decode
        self._come = Incoming()
        self._peers: dict[bytes, bytes] = {}  # by sender, its connection
        self._answer_s = 0.0

    def drain(self, timeout_ms: int, most: int = IN_FLIGHT) -> list[Any]:
        """What is there, at most `most`; waits up to `timeout_ms` for the first."""
        out: list[Any] = []
        lacking: set[bytes] = set()
        if self._socket.poll(timeout_ms, zmq.POLLIN):
            with suppress(zmq.Again):
                while len(out) < most:
                    self._take(self._socket.recv_multipart(zmq.NOBLOCK), out, lacking)
        self.answer(lacking)
        return out

    def answer(self, lacking: Iterable[bytes] = ()) -> None:
        """Tell those of which something is lacking, and now and then all, what is awaited."""
        now_s = time.monotonic()
        if now_s >= self._answer_s:
            self._answer_s = now_s + ANSWER_S
            for sender in self._come.forget(now_s):
                del self._peers[sender]
            lacking = self._peers
        for sender in lacking:
            with suppress(zmq.ZMQError):  # it has gone, or does not take its answers
                answer = (self._peers[sender], self._come.answer(sender))
                self._socket.send_multipart(answer, zmq.NOBLOCK)

    def close(self) -> None:
        """Close at once."""
        self._bound.close(0)

    def _take(self, frames: list[bytes], out: list[Any], lacking: set[bytes]) -> None:
        size = sum(map(len, frames[1:]))
        try:
            peer, head, data = frames
            lost = self._come.lost
            sender, fits = self._come.take(head, time.monotonic())
            if self._come.lost > lost:
                log.warning("%d hand-overs were lost on the way", self._come.lost - lost)
            self._peers[sender] = peer
            if fits:
                out.append(self._decode(data))
            elif self._come.lacks(sender):
                lacking.add(sender)
        except (ValueError, *UNDECODABLE) as error:  # nobody but this user can have sent it
            log.warning("%d bytes that are no hand-over: %s", size, error)
