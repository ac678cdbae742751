"""What publishing one result costs, beside msgspec and pyzmq alone, measured in the same run.

Every publisher has one subscriber, a process that reads everything. Rounds are interleaved, so
that a busy machine slows all alike; the median round is shown. The aim: a result is published as
by default, with the replay ring, within 30 µs.

`python -m benchmarks.publish`
"""

from __future__ import annotations

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

from attune.reception import Reception
from benchmarks.report import show, write
from streaming.modality import Modality
from streaming.results import (
    EMOTIONS,
    Message,
    ModalityReceipt,
    Result,
    Sentiment,
    Signals,
    Timing,
)
from streaming.sinks import JsonlSink, Publisher, ZmqPublisher, open_replay
from streaming.sinks.zeromq import SEND_HIGH_WATER_MARK
from streaming.states import ClosedBy, ViewState
from streaming.wire import decode, encode

ROUNDS, CALLS = 31, 1000
AIM_US = 30.0
BARE, WHOLE = "msgspec and pyzmq alone", "publish as by default: the same, and the replay ring"
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


def measure(actions: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Median microseconds of one call of each action: by the clock, and CPU of this thread."""
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            wall, cpu = time.perf_counter(), time.thread_time()
            for _ in range(CALLS):
                action()
            wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
            rounds[name].append((wall / CALLS * 1e6, cpu / CALLS * 1e6))
    return {
        name: (statistics.median(w for w, _ in told), statistics.median(c for _, c in told))
        for name, told in rounds.items()
    }


def bare_publisher(context: zmq.Context, readers: ExitStack) -> Callable[[], object]:
    """msgspec and pyzmq, and nothing else."""
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    read_all(f"tcp://127.0.0.1:{port}", readers)
    encoder = msgspec.json.Encoder()
    return lambda: socket.send_multipart((b"result/cam", encoder.encode(RESULT)))


def receiver() -> Callable[[], object]:
    """What a subscriber does with one result after the other."""
    reception = Reception(lambda _: None)
    results = (msgspec.structs.replace(RESULT, seq=i + 1) for i in range(ROUNDS * CALLS))
    frames = iter([list(encode(result)) for result in results])
    return lambda: list(reception.items(next(frames)))


def read_all(address: str, readers: ExitStack) -> None:
    """A process that subscribes to everything and throws it away, until `readers` closes."""
    child = subprocess.Popen([sys.executable, "-c", READER, address])
    readers.callback(child.wait)
    readers.callback(child.kill)


def main() -> None:
    """Measure, print, write."""
    context = zmq.Context()
    sink, kept = ZmqPublisher("tcp://127.0.0.1:*"), ZmqPublisher("tcp://127.0.0.1:*")
    ring = open_replay(kept.address, span_s=600, max_bytes=64_000_000)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as readers:
        read_all(sink.address, readers)
        read_all(kept.address, readers)
        file = JsonlSink(str(Path(folder) / "out.jsonl"))
        over_wire, by_default = Publisher([sink]), Publisher([ring, kept])
        into_file = Publisher([file])
        encoder, (topic, payload) = msgspec.json.Encoder(), encode(RESULT)
        decoder = msgspec.json.Decoder(Message)
        micros = measure(
            {
                "msgspec encode alone": lambda: encoder.encode(RESULT),
                "encode, checked (streaming.wire)": lambda: encode(RESULT),
                BARE: bare_publisher(context, readers),
                "publish: number, encode, check, send": lambda: over_wire.publish(RESULT),
                WHOLE: lambda: by_default.publish(RESULT),
                "publish into a file": lambda: into_file.publish(RESULT),
                "msgspec decode alone": lambda: decoder.decode(payload),
                "decode, checked (subscriber)": lambda: decode(topic, payload),
                "decode, holes, open events (attune.client less its socket)": receiver(),
            }
        )
        report(micros, len(payload))
    context.destroy(linger=0)
    for each in (sink, kept, ring):
        each.close()


def report(micros: dict[str, tuple[float, float]], payload_bytes: int) -> None:
    """A table for people and a file for programs."""
    rows = [{"step": name, "µs": wall, "of which CPU": cpu} for name, (wall, cpu) in micros.items()]
    show(f"One result of {payload_bytes} bytes; the CPU of the publishing thread", rows)
    (wall, cpu), (bare, bare_cpu) = micros[WHOLE], micros[BARE]
    reached = "reached" if wall <= AIM_US else "MISSED"
    print(f"aim of {AIM_US:.0f} µs {reached}; against msgspec and pyzmq alone", end=" ")
    print(f"{wall / bare:.2f} times, in CPU {cpu / bare_cpu:.2f} times")
    write(
        "publish",
        {
            "median_us": {name: [round(v, 2) for v in told] for name, told in micros.items()},
            "ratio": round(wall / bare, 2),
            "payload_bytes": payload_bytes,
            "rounds": ROUNDS,
            "calls_a_round": CALLS,
        },
    )


if __name__ == "__main__":
    main()
