"""The audit log beside real sockets: who subscribed, asked for a replay, gave a command."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from attune.client import subscribe
from streaming.audit import AuditLog
from streaming.control_port import ControlPort
from streaming.keys import make_client_keys, make_server_keys, read_client_keys, read_server_keys
from streaming.keys import use_keys as prove
from streaming.results import Health, HealthKind
from streaming.sinks import Publisher, ZmqPublisher
from streaming.sinks.replay import open_replay

WAIT_S = 15.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_server_keys(tmp_path / "server")
    make_client_keys(tmp_path / "server", tmp_path / "desk", "desk")
    return tmp_path


def entries(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def until(holds: Callable[[], bool], act: Callable[[], object] = lambda: None) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        act()
        time.sleep(0.02)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_subscriber_and_its_replay_are_written_down(keys: Path, encrypted: bool) -> None:
    path = keys / "audit.jsonl"
    server = read_server_keys(keys / "server") if encrypted else None
    audit = AuditLog(str(path))
    wire = ZmqPublisher("tcp://127.0.0.1:*", server, audit)
    ring = open_replay(wire.address, span_s=60, max_bytes=10**6, keys=server, audit=audit)
    publisher = Publisher([ring, wire], heartbeat_ms=50)
    for second in range(3):
        publisher.publish(Health(stream="cam", kind=HealthKind.BLACK, t_ns=second))
    clock = iter(range(0, 10**15, 10**8))

    stop = threading.Event()
    client = keys / "desk" if encrypted else None
    listener = threading.Thread(
        target=lambda: list(subscribe(wire.address, latest=True, keys=client, stop=stop))
    )
    listener.start()
    until(lambda: '"latest"' in path.read_text(), lambda: publisher.beat(next(clock)))
    stop.set()
    until(lambda: '"unsubscribed"' in path.read_text(), lambda: publisher.beat(next(clock)))
    listener.join()
    publisher.close()

    found = entries(path)
    who = {"who": "desk", "address": "127.0.0.1"} if encrypted else {"address": "127.0.0.1"}
    given = [line for line in found if line["what"] in ("subscribed", "latest", "replayed")]
    assert {line["what"] for line in given} >= {"subscribed", "latest"}
    for line in given:
        assert {name: line.get(name) for name in who} == who
        assert encrypted or "who" not in line
    assert not [line for line in found if "black" in json.dumps(line)]  # what was said is not


def test_commands_and_consent_are_written_down(keys: Path) -> None:
    path = keys / "audit.jsonl"
    audit = AuditLog(str(path))
    port = ControlPort("tcp://127.0.0.1:*", read_server_keys(keys / "server"), audit)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    prove(socket, read_client_keys(keys / "desk"))
    socket.connect(port.address)
    stream = {
        "name": "door",
        "consent": True,
        "sources": [{"kind": "media", "url": "rtsp://me:secret@door.lan/1"}],
    }
    for request in (
        {"type": "add", "stream": stream},
        {"type": "pause", "stream": "door"},
        {"type": "list"},
        {"type": "nonsense"},
    ):
        socket.send(json.dumps(request).encode())
    taken: list[object] = []
    until(lambda: len(entries(path)) == 5, lambda: taken.extend(port.receive()))
    socket.close(0)
    context.term()
    port.close()

    assert len(taken) == 3
    told = [(e["what"], e.get("stream"), e.get("detail")) for e in entries(path)]
    assert told[:4] == [
        ("command", "door", "add"),
        ("consent", "door", "media"),
        ("command", "door", "pause"),
        ("command", None, "list"),
    ]
    assert told[4][0] == "refused"
    assert {e["who"] for e in entries(path)} == {"desk"}
    assert "secret" not in path.read_text()
