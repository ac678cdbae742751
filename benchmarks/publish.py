"""What publishing one result costs, beside msgspec and pyzmq alone, measured in the same run.

Both publishers have one subscriber, a process that reads everything. Rounds are interleaved, so
that a busy machine slows all alike; the median round is shown.
Run: python benchmarks/publish.py
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import zmq
from rich.console import Console
from rich.table import Table

from streaming.modality import Modality
from streaming.results import EMOTIONS, ModalityReceipt, Result, Sentiment, Signals, Timing
from streaming.sinks import JsonlSink, Publisher, ZmqPublisher
from streaming.sinks.zeromq import SEND_HIGH_WATER_MARK
from streaming.states import ClosedBy, ViewState
from streaming.wire import decode, encode

ROUNDS, CALLS = 31, 1000
OUT = Path(__file__).parent / "out" / "publish.json"
READER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.subscribe("")
while True:
    socket.recv_multipart()
"""
EMOTION_SHARES = {name: round(1 / 7, 6) for name in EMOTIONS}
RESULT = Result(
    stream="cam",
    epoch=1_700_000_000_000_000_000,
    seq=1,
    index=100,
    start_ns=50_000_000_000,
    end_ns=52_000_000_000,
    closed_by=ClosedBy.WATERMARK,
    sentiment=Sentiment(score=0.312345, low=0.1, high=0.5),
    arousal=-0.123456,
    emotions=EMOTION_SHARES,
    modalities={
        modality: ModalityReceipt(
            state=ViewState.COMPLETE,
            coverage=1.0,
            packets=8,
            contribution=0.104115,
            sentiment=0.4,
            emotions=EMOTION_SHARES,
        )
        for modality in Modality
    },
    signals=Signals(faces=1, face_share=1.0, speech_share=0.625, loudness_dbfs=-23.4, words=3),
    model="shipped",
    timing=Timing(align_ms=2.5, queue_ms=0.4, model_ms=38.0, total_ms=52.0),
)


def measure(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median microseconds of one call of each action."""
    rounds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            before = time.perf_counter()
            for _ in range(CALLS):
                action()
            rounds[name].append((time.perf_counter() - before) / CALLS * 1e6)
    return {name: statistics.median(times) for name, times in rounds.items()}


def bare_publisher(context: zmq.Context, readers: ExitStack) -> Callable[[], object]:
    """msgspec and pyzmq, and nothing else."""
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    read_all(f"tcp://127.0.0.1:{port}", readers)
    encoder = msgspec.json.Encoder()
    return lambda: socket.send_multipart((b"result/cam", encoder.encode(RESULT)))


def read_all(address: str, readers: ExitStack) -> None:
    """A process that subscribes to everything and throws it away, until `readers` closes."""
    child = subprocess.Popen([sys.executable, "-c", READER, address])
    readers.callback(child.wait)
    readers.callback(child.kill)


def main() -> None:
    """Measure, print, write."""
    context = zmq.Context()
    sink = ZmqPublisher("tcp://127.0.0.1:*")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as readers:
        read_all(sink.address, readers)
        file = JsonlSink(str(Path(folder) / "out.jsonl"))
        over_wire, into_file = Publisher([sink]), Publisher([file])
        encoder, (topic, payload) = msgspec.json.Encoder(), encode(RESULT)
        micros = measure(
            {
                "msgspec encode alone": lambda: encoder.encode(RESULT),
                "encode, checked (streaming.wire)": lambda: encode(RESULT),
                "msgspec and pyzmq alone": bare_publisher(context, readers),
                "publish: number, encode, check, send": lambda: over_wire.publish(RESULT),
                "publish into a file": lambda: into_file.publish(RESULT),
                "decode, checked (subscriber)": lambda: decode(topic, payload),
            }
        )
        report(micros, len(payload))
    context.destroy(linger=0)
    sink.close()


def report(micros: dict[str, float], payload_bytes: int) -> None:
    """A table for people and a file for programs."""
    table = Table("step", "µs for one result", title=f"{payload_bytes} bytes of JSON")
    for name, value in micros.items():
        table.add_row(name, f"{value:.1f}")
    Console().print(table)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(
        json.dumps(
            {
                "median_us": {name: round(value, 2) for name, value in micros.items()},
                "payload_bytes": payload_bytes,
                "rounds": ROUNDS,
                "calls_a_round": CALLS,
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "load_average": os.getloadavg(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
