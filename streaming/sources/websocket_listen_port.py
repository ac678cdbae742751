"""Words that clients post to a WebSocket which is served here, with the library websockets.

Invariants: nobody is let in who does not know the token, where there is one, and no page of a site
that was not named; a message is in the inbox or was not read, and is answered before its client's
next is read, so that at most one of each client waits, all take turns, and a flood waits with who
sends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin, Subprotocol

from streaming.clock import Clock
from streaming.errors import PortLostError, SourceError
from streaming.source_settings import TextSettings
from streaming.sources.listen_secrets import is_let_in, read_certificate, read_token
from streaming.sources.text_address import TextAddress
from streaming.sources.text_message import TextReply
from streaming.sources.text_port import CUT_BYTES, Arrival
from streaming.sources.text_refusals import Rate
from streaming.sources.websocket_fault import fault_of

MOST_CLIENTS = 100
OPEN_S, CLOSE_S, PING_S = 3.0, 0.5, 20.0
PROTOCOL = Subprotocol("attune.words")
TURNED_AWAY = 1_000  # of which the operator is told, until the source has read them

log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)  # below, the library writes down headers, so tokens


class ListenPort:
    """Bound here, for any number of clients up to `MOST_CLIENTS`; read by one thread."""

    def __init__(self, address: TextAddress, settings: TextSettings, clock: Clock) -> None:
        self._clock, self._origins = clock, settings.origins
        self._token = read_token(settings.token_file, address.name)
        self._tls = read_certificate(settings.certificate, address.name)
        self._socket = _bound(address)
        self._rate, self._pause_s = Rate(settings.max_per_s), 1 / settings.max_per_s
        self._next: Arrival | None = None
        self._inbox: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._loop, self._over = asyncio.new_event_loop(), asyncio.Event()
        self._waiting: set[asyncio.Future[str]] = set()
        self._clients = 0
        self._thread = threading.Thread(target=self._run, name="words", daemon=True)

    def start(self) -> None:
        """Let clients in."""
        self._thread.start()

    def read(self, timeout_s: float) -> Arrival | None:
        """See `TextPort`."""
        arrival = self._next or self._waited(timeout_s)
        now_ns = self._clock.now_ns()
        if arrival is None or arrival.fault or self._rate.admits(now_ns):
            self._next = None
            return arrival and msgspec.structs.replace(arrival, arrival_ns=now_ns)
        self._next = arrival
        time.sleep(min(self._pause_s, timeout_s))
        return None

    def close(self) -> None:
        """Say goodbye to all, and free the address."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
        elif not self._loop.is_closed():
            self._loop.close()
        self._socket.close()

    def _waited(self, timeout_s: float) -> Arrival | None:
        try:
            return self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            if not self._thread.is_alive():
                raise PortLostError("the server here has ended") from None
            return None

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with serve(
            self._talk,
            sock=self._socket,
            ssl=self._tls,
            origins=[None, *map(Origin, self._origins)],
            select_subprotocol=lambda _, offered: PROTOCOL if PROTOCOL in offered else None,
            process_request=self._admit,
            process_response=self._tell,
            compression=None,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=PING_S,
            max_size=CUT_BYTES,
            max_queue=1,
            logger=log,
        ):
            await self._over.wait()
            for waiting in self._waiting:
                _settle(waiting, "the stream has ended")

    def _admit(self, client: ServerConnection, request: Request) -> Response | None:
        if not is_let_in(request.headers, self._token):
            return client.respond(401, "no token, or a wrong one\n")
        if self._clients >= MOST_CLIENTS:
            return client.respond(503, f"{MOST_CLIENTS} clients are here already\n")
        return None

    def _tell(self, client: ServerConnection, request: Request, response: Response) -> None:
        if response.status_code != 101 and self._inbox.qsize() < TURNED_AWAY:
            reason = " ".join(response.body.decode(errors="replace").split())[:200]
            fault = f"a client was turned away (HTTP {response.status_code}): {reason}"
            self._inbox.put(Arrival(arrival_ns=0, fault=fault))

    async def _talk(self, client: ServerConnection) -> None:
        self._clients += 1
        try:
            while True:
                refusal = await self._asked(await client.recv(decode=False))
                reply = TextReply(taken=not refusal, error=refusal)
                await client.send(msgspec.json.encode(reply).decode())
        except ConnectionClosed as error:
            if fault := fault_of(error):
                self._inbox.put(Arrival(arrival_ns=0, fault=fault))
        finally:
            self._clients -= 1

    async def _asked(self, data: bytes) -> str:
        """Why the source does not take `data`, or nothing."""
        if self._over.is_set():
            return "the stream has ended"
        verdict: asyncio.Future[str] = self._loop.create_future()
        self._waiting.add(verdict)
        answer = partial(self._answer, verdict)
        self._inbox.put(Arrival(data=data, arrival_ns=0, answer=answer))
        try:
            return await verdict
        finally:
            self._waiting.discard(verdict)

    def _answer(self, verdict: asyncio.Future[str], refusal: str) -> None:
        with suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(_settle, verdict, refusal)


def _settle(verdict: asyncio.Future[str], refusal: str) -> None:
    if not verdict.done():
        verdict.set_result(refusal)


def _bound(address: TextAddress) -> socket.socket:
    parts = urlsplit(address.endpoint)
    host = parts.hostname or ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, parts.port or 0), family=family)
    except OSError as error:
        raise SourceError(
            f"{address.name}: expected an address that can be served, but "
            f"{_reason(error)}; stop what serves there, or choose another port"
        ) from None


def _reason(error: OSError) -> str:
    """What the system says, without the address that Python adds to it."""
    known = error.errno is not None and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if known else str(error.strerror)
