"""A TCP proxy that does to what passes what networks do: delay it, hold it, break it, cut it."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 4096


@dataclass
class Faults:
    """What happens to the bytes on their way to the client, or where it says so to the server."""

    delay_s: float = 0.0
    broken: float = 0.0  # share of the chunks in which one byte is changed
    broken_up: float = 0.0  # the same on their way to the server
    held: bool = False  # nothing passes


@dataclass
class Proxy:
    """Listens at `port` and goes on to `to_port`, both of this machine."""

    to_port: int
    faults: Faults = field(default_factory=Faults)
    spoiled: int = 0  # chunks with a wrong byte
    said: bytearray = field(default_factory=bytearray)  # by the clients, as it came

    def __post_init__(self) -> None:
        self._rng = random.Random(0)
        self._sockets: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, in the middle of whatever passes."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.to_port), timeout=5)
            except OSError:  # nobody is there at this moment
                client.close()
                continue
            server.settimeout(None)
            self._sockets |= {client, server}
            for act, *ends in ((self._down, server, client), (self._up, client, server)):
                threading.Thread(target=self._pump, args=(act, *ends), daemon=True).start()

    def _pump(
        self, act: Callable[[bytes], bytes], source: socket.socket, target: socket.socket
    ) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                target.sendall(act(data))
        for one in (source, target):
            self._sockets.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _down(self, data: bytes) -> bytes:
        """From the pipeline to the subscriber."""
        while self.faults.held:
            time.sleep(0.05)
        time.sleep(self.faults.delay_s)
        return self._spoilt(data, self.faults.broken)

    def _up(self, data: bytes) -> bytes:
        self.said += data
        return self._spoilt(data, self.faults.broken_up)

    def _spoilt(self, data: bytes, share: float) -> bytes:
        if self._rng.random() >= share:
            return data
        self.spoiled += 1
        at = self._rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
