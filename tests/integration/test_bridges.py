"""The bridges in examples/, as processes, against a real endpoint, broker and folder."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import paho.mqtt.client as mqtt
import pyarrow.dataset
import pytest

from streaming.modality import Modality
from streaming.results import (
    ClosedBy,
    Event,
    ModalityReceipt,
    Phase,
    Result,
    Sentiment,
    Signals,
)
from streaming.sinks import Publisher, ZmqPublisher, open_replay
from streaming.states import ViewState

EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT_S = 20.0
RESULT = Result(
    stream="cam",
    index=0,
    start_ns=0,
    end_ns=2_000_000_000,
    closed_by=ClosedBy.WATERMARK,
    sentiment=Sentiment(score=0.25, low=0.0, high=0.5),
    arousal=None,
    emotions=None,
    modalities={Modality.AUDIO: ModalityReceipt(state=ViewState.COMPLETE, coverage=1.0, packets=4)},
    signals=Signals(loudness_dbfs=-20.0),
    model="test",
)


def event(number: int, phase: Phase, kind: str = "silence") -> Event:
    return Event(
        stream="cam",
        id=f"{kind}-{number}",
        kind=kind,
        phase=phase,
        start_ns=0,
        end_ns=1 if phase is Phase.END else None,
        label=kind,
        score=1.0,
        evidence={},
    )


def until(holds: Callable[[], Any], act: Callable[[], Any] = lambda: None) -> None:
    """Poll, doing `act` in between: other processes are at work, there is no event to wait for."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        act()
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Running:
    """A publisher, and processes that end with the test."""

    def __init__(self) -> None:
        sink = ZmqPublisher("tcp://127.0.0.1:*")
        self.address = sink.address
        replay = open_replay(sink.address, span_s=600, max_bytes=10**7)
        self.publisher = Publisher([replay, sink], heartbeat_ms=50)
        self.children: list[subprocess.Popen[str]] = []

    def start(self, *command: object) -> subprocess.Popen[str]:
        child = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
        self.children.append(child)
        return child

    def bridge(self, name: str, *arguments: object) -> subprocess.Popen[str]:
        return self.start(sys.executable, EXAMPLES / name, "--address", self.address, *arguments)

    def beat(self) -> None:
        self.publisher.beat(time.monotonic_ns())

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.communicate()
        self.publisher.close()


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


def lines_of(child: subprocess.Popen[str]) -> list[str]:
    """What it says on standard error, as it comes."""
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True).start()
    return said


class Endpoint(BaseHTTPRequestHandler):
    """Fails the first request it gets, then takes all."""

    taken: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    failures: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = type(self)
        if kind.failures:
            kind.failures -= 1
            self.send_response(503)
        else:
            kind.taken.append((self.headers["Idempotency-Key"], body))
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_events_reach_an_endpoint_that_was_away(running: Running) -> None:
    # endpoint    away | 503 | takes
    # events      silence start, end, start, face start, silence end, start, ...
    Endpoint.taken, Endpoint.failures = [], 1
    server = HTTPServer(("127.0.0.1", 0), Endpoint, bind_and_activate=False)
    server.server_bind()  # the port is ours, and nobody listens there yet
    child = running.bridge(
        "webhook.py", f"http://127.0.0.1:{server.server_port}/", "--kind", "silence"
    )
    complaints = lines_of(child)
    numbered: list[Any] = []

    def publish() -> None:
        number, over = divmod(len(numbered), 2)
        said = event(number + 1, Phase.END if over else Phase.START)
        numbered.append(running.publisher.publish(said))

    until(lambda: any("trying again" in line for line in complaints), publish)
    running.publisher.publish(event(1, Phase.START, "face"))
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    until(lambda: len(Endpoint.taken) >= 2, publish)
    server.shutdown()
    server.server_close()
    seqs = [body["seq"] for _, body in Endpoint.taken]
    sent = [m.seq for m in numbered]
    first = sent.index(seqs[0])
    assert seqs == sent[first : first + len(seqs)]  # in order, none left out, none twice
    assert {body["kind"] for _, body in Endpoint.taken} == {"silence"}
    key, body = Endpoint.taken[0]
    assert key == f"cam-{body['epoch']}-{seqs[0]}-{body['id']}"


def test_results_become_rows_in_files_that_appear_whole(running: Running, tmp_path: Path) -> None:
    child = running.bridge("to_parquet.py", tmp_path, "--rows", 2)
    count = 0

    def publish() -> None:
        nonlocal count
        result = msgspec.structs.replace(RESULT, index=count)
        running.publisher.publish(result)
        count += 1

    until(lambda: len(list(tmp_path.glob("*.parquet"))) >= 2, publish)
    # published  ... n |                beat       it has no time until it is told to end
    # bridge     ...   | stopped, SIGTERM, goes on
    child.send_signal(signal.SIGSTOP)
    publish()
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)
    until(lambda: child.poll() is not None, running.beat)  # it waits for what was sent before
    assert child.returncode == 0
    table = pyarrow.dataset.dataset(tmp_path, format="parquet").to_table()
    rows = sorted(table.to_pylist(), key=lambda row: row["seq"])
    assert [row["index"] for row in rows] == list(range(rows[0]["index"], count))
    assert (rows[0]["sentiment"], rows[0]["arousal"]) == (0.25, None)
    assert (rows[0]["coverage_audio"], rows[0]["coverage_video"]) == (1.0, None)
    assert (rows[0]["speech_share"], rows[0]["faces"], rows[0]["words"]) == (0.0, None, None)
    assert table.schema.field("end_ns").metadata == {b"unit": b"ns of the stream's own time"}
    assert not list(tmp_path.glob(".*"))


def test_home_assistant_finds_scores_and_events_and_their_loss(
    running: Running, tmp_path: Path
) -> None:
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
    if broker is None:
        pytest.skip("mosquitto, the MQTT broker, is not installed")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    running.start(broker, "-c", config)
    heard: dict[str, str] = {}
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe("#")
    client.on_message = lambda _, __, m: heard.update({m.topic: m.payload.decode()})

    def connected() -> bool:
        try:
            return client.connect("127.0.0.1", port) == 0
        except OSError:
            return False

    until(connected)
    client.loop_start()
    child = running.bridge("mqtt.py", "--port", port)
    until(lambda: heard.get("attune/status") == "online")
    opened = event(1, Phase.START)

    def publish() -> None:
        running.publisher.publish(RESULT)
        running.publisher.publish(opened)

    until(lambda: heard.get("attune/cam/event/silence") == "ON", publish)
    running.publisher.publish(event(1, Phase.END))
    until(lambda: heard["attune/cam/event/silence"] == "OFF")
    state = json.loads(heard["attune/cam/state"])
    assert state == {"sentiment": 0.25, "arousal": None, "loudness_dbfs": -20.0, "faces": None}
    found = json.loads(heard["homeassistant/sensor/attune_cam_sentiment/config"])
    assert (found["state_topic"], found["availability_topic"]) == (
        "attune/cam/state",
        "attune/status",
    )
    assert "homeassistant/binary_sensor/attune_cam_silence/config" in heard
    child.kill()
    until(lambda: heard["attune/status"] == "offline")  # the broker says it for the dead
    client.loop_stop()
