"""Those who have no business there: no key, a wrong one, or input that is old, huge or broken.

Each is a trial: so many attempts, so many of which were refused, and what should have been.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from attune.streams import ask
from benchmarks.chaos.pipeline import Pipeline
from benchmarks.chaos.proxy import Proxy
from streaming.control import AddRequest, ListRequest, RemoveRequest, State
from streaming.keys import make_client_keys, make_server_keys, read_client_keys, use_keys
from streaming.settings import StreamSettings
from streaming.source_settings import SyntheticSettings

WAIT_MS = 3000
HUGE = b"{" + b"x" * 100_000


@dataclass
class Trial:
    """`attempts` of which all should have been refused."""

    name: str
    attempts: int
    refused: int


def all_trials(pipeline: Pipeline, attempts: int) -> Iterator[Trial]:
    """Each kind, one after another."""
    stranger = _stranger(pipeline.folder)
    ports = (pipeline.port, pipeline.port + 1, pipeline.control_port)
    for name, keys in (("no key", None), ("wrong key", stranger)):
        refused = sum(not _gets_in(port, keys) for port in ports for _ in range(attempts))
        yield Trial(f"{name}, at each of 3 ports", attempts * len(ports), refused)
    for port in ports:
        for _ in range(attempts):
            _shout(port, random.Random(port).randbytes(65_536))
    alive = len(ask(pipeline.control, ListRequest(), pipeline.keys)) > 0
    yield Trial("bytes at random, at each of 3 ports", attempts * len(ports), alive * attempts * 3)
    for name, port in (("replay", ports[1]), ("control", ports[2])):
        for what, data in (("malformed", b'{"type": "\xff[[['), ("oversized", HUGE)):
            refused = sum(_is_refused(port, pipeline.keys, data) for _ in range(attempts))
            yield Trial(f"{what} requests to the {name} port", attempts, refused)
    yield _old_command(pipeline)


def _stranger(folder: Path) -> Path:
    """Keys of somebody who knows the publisher's public key and is on no list."""
    if not (folder / "stranger").exists():
        make_server_keys(folder / "other")
        make_client_keys(folder / "other", folder / "stranger", "stranger")
        known = (folder / "server" / "server.key").read_bytes()
        (folder / "stranger" / "server.key").write_bytes(known)
    return folder / "stranger"


@contextmanager
def _socket(port: int, keys: Path | None) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as one:
        one.setsockopt(zmq.LINGER, 0)
        use_keys(one, None if keys is None else read_client_keys(keys))
        yield one


def _gets_in(port: int, keys: Path | None) -> bool:
    """Whether a handshake comes to its end."""
    with _socket(port, keys) as one:
        monitor = one.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED)
        one.connect(f"tcp://127.0.0.1:{port}")
        came = monitor.poll(500) and recv_monitor_message(monitor)["event"]
        one.disable_monitor()
        return bool(came == zmq.Event.HANDSHAKE_SUCCEEDED)


def _is_refused(port: int, keys: Path, data: bytes) -> bool:
    """Whether `data` gets a refusal, or no answer at all because the connection was closed."""
    with _socket(port, keys) as one:
        one.connect(f"tcp://127.0.0.1:{port}")
        one.send(data)
        wait_ms = WAIT_MS if len(data) < len(HUGE) else 300
        return b'"refused"' in one.recv() if one.poll(wait_ms) else data is HUGE


def _shout(port: int, data: bytes) -> bytes:
    """Send bytes as they are; what comes back within a second."""
    said = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as one:
        one.sendall(data)
        while part := one.recv(4096):
            said += part
    return said


def _old_command(pipeline: Pipeline) -> Trial:
    """A stream added as it once was by somebody who may, byte for byte, after its removal."""
    proxy = Proxy(pipeline.control_port)
    guest = StreamSettings(name="guest", sources=(SyntheticSettings(duration_s=30),))
    ask(f"tcp://127.0.0.1:{proxy.port}", AddRequest(stream=guest, force=True), pipeline.keys)
    ask(pipeline.control, RemoveRequest(stream="guest"), pipeline.keys)
    _shout(pipeline.control_port, bytes(proxy.said))
    time.sleep(1)
    states = ask(pipeline.control, ListRequest(), pipeline.keys)
    gone = all(s.state is State.ENDED for s in states if s.name == "guest")
    return Trial("an old command, sent again", 1, int(gone))
