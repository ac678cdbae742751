"""The ZeroMQ publisher: one PUB socket, bound to one address, two frames to a message.

Invariants: `send` never waits. A subscriber that falls behind loses messages for itself alone, and
sees so from the hole in `seq`. `close` lets what connected subscribers were sent go out, for at
most `LINGER_MS`. An address that other hosts can reach is bound with CURVE keys only.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket as sockets
import threading
from collections.abc import Mapping
from contextlib import suppress

import zmq
from zmq.auth.thread import ThreadAuthenticator

from streaming.audit import AuditLog, What
from streaming.errors import SinkError, UsageError
from streaming.keys import AllowList, ServerKeys
from streaming.sinks.base import require_open

# Messages kept for each subscriber that is slow. At about 1.3 kB and eight messages a second from
# two busy streams this is twenty minutes and 13 MB.
SEND_HIGH_WATER_MARK = 10_000
SUBSCRIPTIONS = 100  # that are looked at for each message
LINGER_MS = 2_000
TERM_S = 2.0

# A context that is collected as garbage waits without end for sockets it has lost sight of, so one
# that was not closed is kept for as long as the process lives.
_CONTEXTS: set[zmq.Context[zmq.Socket[bytes]]] = set()

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]]+):(?P<port>\d{1,5}|\*)")
_IPC = re.compile(r"ipc://(?P<path>.+)")


class BoundSocket:
    """A socket of a context of its own, bound to `address`; `address` says what was bound.

    With `keys` only the clients on their list get in, encrypted; `refused` counts the others.
    `use`: what the errors say cannot be done there; `asks_keys`: how its user gives keys.
    """

    def __init__(
        self,
        kind: zmq.SocketType,
        address: str,
        options: Mapping[zmq.SocketOption, int],
        keys: ServerKeys | None = None,
        use: str = "publish on",
        asks_keys: str = "output.keys=DIR",
    ) -> None:
        require_bindable(address, keys is not None, use, asks_keys)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        _CONTEXTS.add(self._context)
        self._authenticator: ThreadAuthenticator | None = None
        self._guests = AllowList(keys.allowed) if keys is not None else None
        self.socket = self._context.socket(kind)
        for option, value in {**options, zmq.IPV6: int("[" in address)}.items():
            self.socket.setsockopt(option, value)
        if keys is not None:
            self._guard(keys)
        try:
            self.socket.bind(address)
        except zmq.ZMQError as error:
            self.close(0)
            raise _cannot_bind(address, use, error.errno or 0, str(error.strerror)) from None
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def refused(self) -> int:
        """How many connections were turned away for their key."""
        return self._guests.refused if self._guests is not None else 0

    def peer(self, frame: zmq.Frame) -> tuple[str, str]:
        """The name of the key, and the address, from which `frame` came, as far as is known."""
        key, address = _told(frame, "User-Id"), _told(frame, "Peer-Address")
        return (self._guests.name_of(key) if self._guests is not None and key else ""), address

    def close(self, linger_ms: int) -> None:
        """Wait at most `linger_ms` for what was sent to go out, and free the address."""
        self.socket.close(linger_ms)
        if self._authenticator is not None:
            self._authenticator.stop()
        # libzmq was once seen not to return from here although the linger was over; what it holds
        # is left to the end of the process then, and whoever closes is not held up.
        ending = threading.Thread(target=self._context.term, daemon=True)
        ending.start()
        ending.join(linger_ms / 1000 + TERM_S)
        if not ending.is_alive():
            _CONTEXTS.discard(self._context)

    def _guard(self, keys: ServerKeys) -> None:
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback("*", self._guests)
        self.socket.curve_publickey = keys.pair.public
        self.socket.curve_secretkey = keys.pair.secret
        self.socket.curve_server = True


class ZmqPublisher:
    """Binds `address`: `tcp://127.0.0.1:7100`, or port `*` for a free one; or `ipc:///path`.

    `address` says afterwards what was bound. With `keys` other addresses may be bound, too.
    `audit` is told of subscriptions as they come and go.
    """

    live = True

    def __init__(
        self, address: str, keys: ServerKeys | None = None, audit: AuditLog | None = None
    ) -> None:
        self._closed = False
        self._audit = audit
        options = {zmq.SNDHWM: SEND_HIGH_WATER_MARK}
        if audit is not None:
            options[zmq.XPUB_VERBOSER] = 1  # every subscription is told, not each topic's first
        kind = zmq.PUB if audit is None else zmq.XPUB
        self._bound = BoundSocket(kind, address, options, keys)
        self._socket = self._bound.socket
        self.address = self._bound.address

    def refused(self) -> dict[str, int]:
        """How many connections were turned away."""
        return {"connection": self._bound.refused}

    def send(self, topic: bytes, payload: bytes) -> None:
        """Hand one message to every subscriber of its topic."""
        require_open(self._closed, f"the publisher at {self.address}")
        try:
            self._socket.send_multipart((topic, payload), flags=zmq.DONTWAIT)
        except zmq.ZMQError as error:
            raise SinkError(f"cannot publish on {self.address}: {error.strerror}") from None
        if self._audit is not None:
            self._note_subscriptions(self._audit)

    def _note_subscriptions(self, audit: AuditLog) -> None:
        for _ in range(SUBSCRIPTIONS):
            if not self._socket.poll(0, zmq.POLLIN):
                return
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            said = bytes(frame.buffer)
            if said[:1] not in (b"\x00", b"\x01"):
                continue  # a message, which nobody listens to here
            who, address = self._bound.peer(frame)
            what = What.SUBSCRIBED if said[0] else What.UNSUBSCRIBED
            topic = said[1:].decode("utf-8", "backslashreplace")
            audit.note(what, who=who, address=address, topic=topic)

    def flush(self) -> None:
        """Nothing waits here: ZeroMQ sends from its own thread."""

    def close(self) -> None:
        """Wait, at most `LINGER_MS`, for what was sent to go out, and free the address."""
        if not self._closed:
            self._closed = True
            self._bound.close(LINGER_MS)


def _told(frame: zmq.Frame, name: str) -> str:
    """What libzmq knows of where a frame came from; empty where it knows nothing."""
    try:
        return str(frame.get(name) or "")
    except zmq.ZMQError:
        return ""


def require_bindable(address: str, encrypted: bool, use: str, asks_keys: str) -> None:
    """Refuse an address that is malformed, public and not encrypted, or already served."""
    if ipc := _IPC.fullmatch(address):
        _require_free_ipc(address, ipc["path"], use)
        return
    tcp = _TCP.fullmatch(address)
    if tcp is None or (tcp["port"] != "*" and int(tcp["port"]) > 65535):
        raise UsageError(
            f"cannot {use} {address!r}: expected an address like tcp://127.0.0.1:7100"
            " or ipc:///tmp/attune"
        )
    if not encrypted and not is_loopback(tcp["host"].strip("[]")):
        raise UsageError(
            f"cannot {use} {address} without keys: other hosts can reach it. Make keys with"
            f" attune keys server DIR and give {asks_keys}, or bind tcp://127.0.0.1:7100"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` can be nothing but this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_free_ipc(address: str, path: str, use: str) -> None:
    # ZeroMQ would unlink the socket of a living publisher and take its place in silence.
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(path)
        raise _cannot_bind(address, use, errno.EADDRINUSE, "")


def _cannot_bind(address: str, use: str, number: int, reason: str) -> SinkError:
    advice = {
        errno.EADDRINUSE: "another program serves there: stop it or choose another port",
        errno.EADDRNOTAVAIL: "this host has no such address: bind tcp://127.0.0.1:7100",
        errno.EACCES: "no permission to bind it: choose a port above 1023 or another path",
        errno.ENOENT: "the folder does not exist: create it or choose another path",
        errno.ENAMETOOLONG: "the path is too long for a socket: choose a shorter one",
    }.get(number, f"{reason}: choose another address")
    return SinkError(f"cannot {use} {address}: {advice}")
