"""The clock of the host on which a source's programs run, asked for over ZeroMQ.

A thread of its own asks, so that no exchange waits for words. Invariant: a host that does not
answer is told of once, and so is its return; until then its times are dated by what is known.
"""

from __future__ import annotations

import threading
from pathlib import Path

import zmq

from streaming.clock import NS_PER_MS, Clock
from streaming.clock_exchange import MESSAGE_BYTES, Asking, News
from streaming.errors import SourceError, UsageError
from streaming.keys import ClientKeys, read_client_keys, use_keys

OPEN_S = 3.0


class AskedClock:
    """Asks at `address`; `SourceError` where nobody answers at first. `keys`: or their folder."""

    def __init__(self, address: str, keys: str | ClientKeys | None, clock: Clock) -> None:
        own = _read(keys) if isinstance(keys, str) else keys
        self._clock, self._asking = clock, Asking(address, clock.now_ns())
        self._lock, self._known, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, own), daemon=True)
        self._thread.start()
        if not self._known.wait(OPEN_S):
            self.close()
            raise SourceError(
                f"{address}: expected a clock, but there was no answer in {OPEN_S:.0f} s; start "
                "attune clock there, or check address and keys"
            )

    def at(self, host_ns: int) -> tuple[int, int]:
        """See `FarClock`."""
        with self._lock:
            found = self._asking.clock.at(host_ns)
        assert found is not None  # it was opened by an answer
        return found

    def doubt(self) -> None:
        """See `FarClock`."""
        with self._lock:
            self._asking.doubt()

    def news(self) -> list[News]:
        """See `FarClock`."""
        with self._lock:
            return self._asking.news(self._clock.now_ns())

    def close(self) -> None:
        """See `FarClock`."""
        self._stop.set()
        self._thread.join()

    def _run(self, address: str, keys: ClientKeys | None) -> None:
        socket: zmq.Socket[bytes]
        with zmq.Context.instance().socket(zmq.DEALER) as socket:
            # One question may wait for a connection. With IMMEDIATE the pipe would end at every
            # loss, perhaps between the frames of an answer.
            options = {zmq.LINGER: 0, zmq.SNDHWM: 1, zmq.MAXMSGSIZE: MESSAGE_BYTES}
            for option, value in {**options, zmq.IPV6: int("[" in address)}.items():
                socket.setsockopt(option, value)
            use_keys(socket, keys)
            socket.connect(address)
            while not self._stop.is_set():
                self._exchange(socket)

    def _exchange(self, socket: zmq.Socket[bytes]) -> None:
        """Ask if it is time, and take an answer if one comes soon."""
        with self._lock:
            if self._clock.now_ns() >= self._asking.due_ns:
                self._ask(socket)
            wait_ns = min(max(self._asking.due_ns - self._clock.now_ns(), 0), 100 * NS_PER_MS)
        if socket.poll(wait_ns // NS_PER_MS + 1):
            data = socket.recv_multipart()[-1]
            heard_ns = self._clock.now_ns()
            with self._lock:
                self._asking.hear(data, heard_ns)
                if self._asking.clock.epoch:
                    self._known.set()

    def _ask(self, socket: zmq.Socket[bytes]) -> None:
        try:
            question = self._asking.ask(self._clock.now_ns())
            socket.send_multipart([b"", question], flags=zmq.DONTWAIT)  # so that REP can answer
        except zmq.Again:
            self._asking.unsent(self._clock.now_ns())


def _read(folder: str) -> ClientKeys | None:
    try:
        return read_client_keys(Path(folder)) if folder else None
    except UsageError as error:
        raise SourceError(str(error)) from None
