"""A hundred subscribers on eight streams: losses, CPU, and what a stuck one does to the others.

    python -m benchmarks.subscribers [--seconds 10]

Each run publishes results of eight streams at an even pace to processes that hold the subscribers.
Alternatives in the same run: pyzmq alone on both sides (encode with msgspec, send; receive two
frames), and pyzmq with msgspec's decoder on the receiving side, which is the least that a program
does that looks at what it gets. Every subscriber has a context of its own, as it would in a
program of its own. CPU is that of all processes, user and system, less what the same
processes use while nothing is published, divided by messages times subscribers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import zmq
from rich.console import Console
from rich.table import Table

from benchmarks.publish import RESULT
from streaming.sinks import Publisher, ZmqPublisher
from streaming.sinks.replay import open_replay
from streaming.sinks.zeromq import SEND_HIGH_WATER_MARK

STREAMS = [f"cam{i}" for i in range(8)]
RATE_HZ = 100
PROCESSES, EACH = 4, 25
READER = """
import json, sys, time
import zmq
kind, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
got, holes, ages, ended = 0, 0, [], set()
if kind == "attune":
    from attune.client import Delivery, Subscription
    from streaming.holes import Hole
    from streaming.results import Result
    subs = [Subscription(address) for _ in range(count)]
    sockets = {s._socket: s for s in subs}
else:
    import msgspec
    from streaming.results import Result
    decode = msgspec.json.Decoder(Result).decode
    sockets, contexts = {}, []
    for _ in range(count):
        contexts.append(zmq.Context())
        socket = contexts[-1].socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 10000)
        socket.subscribe("")
        socket.connect(address)
        sockets[socket] = None
poller = zmq.Poller()
for socket in sockets:
    poller.register(socket, zmq.POLLIN)
print("ready", flush=True)
while len(ended) < len(sockets):
    for socket, _ in poller.poll(1000):
        if kind == "attune":
            for item in sockets[socket].receive(0):
                if isinstance(item, Hole):
                    holes += 1
                elif isinstance(item, Delivery):
                    message = item.message
                    if isinstance(message, Result):
                        if message.stream == "end":
                            ended.add(socket)
                        else:
                            got += 1
                            ages.append(time.time_ns() - message.timing.published_unix_ns)
        else:
            topic, payload = socket.recv_multipart()
            if topic == b"result/end":
                ended.add(socket)
            elif topic.startswith(b"result/"):
                got += 1
                if kind == "decode":
                    decode(payload)
print(json.dumps([got, holes, time.process_time(), ages[::7]]), flush=True)
"""


class Readers:
    """Processes with subscribers of one kind."""

    def __init__(self, kind: str, address: str, processes: int, each: int) -> None:
        command = [sys.executable, "-c", READER, kind, address, str(each)]
        self.children = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        for child in self.children:
            assert child.stdout is not None
            child.stdout.readline()
        time.sleep(1.5)  # subscriptions travel to the publisher unseen
        self.idle_s = [_cpu_s(child.pid) for child in self.children]

    def end(self) -> tuple[int, int, float, list[float]]:
        """Results and holes that came, CPU seconds since the start, ages in milliseconds."""
        got, holes, cpu_s, ages = 0, 0, 0.0, []
        for child, idle_s in zip(self.children, self.idle_s, strict=True):
            said, _ = child.communicate(timeout=60)
            found = json.loads(said)
            got, holes = got + found[0], holes + found[1]
            cpu_s += found[2] - idle_s
            ages += [age / 1e6 for age in found[3]]
        return got, holes, cpu_s, ages

    def kill(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def publish_for(seconds: float, publish: Callable[[str], object]) -> int:
    """Publish at an even pace; how many."""
    count = round(seconds * RATE_HZ)
    begin = time.monotonic()
    for i in range(count):
        publish(STREAMS[i % len(STREAMS)])
        time.sleep(max(begin + (i + 1) / RATE_HZ - time.monotonic(), 0))
    return count


def attune_publisher(stack: ExitStack) -> tuple[str, Callable[[str], object]]:
    """Everything that a run has: numbers, checks, the replay port's ring."""
    sink = ZmqPublisher("tcp://127.0.0.1:*")
    publisher = Publisher([open_replay(sink.address, span_s=600, max_bytes=64_000_000), sink])
    stack.callback(publisher.close)
    results = {name: msgspec.structs.replace(RESULT, stream=name) for name in [*STREAMS, "end"]}
    return sink.address, lambda stream: publisher.publish(results[stream])


def bare_publisher(stack: ExitStack) -> tuple[str, Callable[[str], object]]:
    """msgspec and pyzmq, and nothing else."""
    context = zmq.Context()
    stack.callback(context.destroy, 0)
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    encoder = msgspec.json.Encoder()
    results = {name: msgspec.structs.replace(RESULT, stream=name) for name in [*STREAMS, "end"]}

    def publish(stream: str) -> None:
        socket.send_multipart((f"result/{stream}".encode(), encoder.encode(results[stream])))

    return f"tcp://127.0.0.1:{port}", publish


def measure(kind: str, seconds: float) -> dict[str, float]:
    """One hundred subscribers of one kind."""
    with ExitStack() as stack:
        address, publish = (attune_publisher if kind == "attune" else bare_publisher)(stack)
        readers = Readers(kind, address, PROCESSES, EACH)
        stack.callback(readers.kill)
        before_s = time.process_time()
        count = publish_for(seconds, publish)
        publish("end")
        got, holes, read_s, ages = readers.end()
        sent_s = time.process_time() - before_s
    deliveries = count * PROCESSES * EACH
    return {
        "lost": deliveries - got,
        "holes": holes,
        "publisher": sent_s / deliveries * 1e6,
        "subscriber": read_s / deliveries * 1e6,
        "p99_ms": float(np.percentile(ages, 99)) if ages else float("nan"),
    }


def stuck(seconds: float) -> list[tuple[float, float]]:
    """p50 and p99 in ms of ten subscribers: alone, beside a stopped one, and alone again."""
    found = []
    for halt in (False, True, False, True):
        with ExitStack() as stack:
            address, publish = attune_publisher(stack)
            other = Readers("attune", address, 1, 1)
            stack.callback(other.kill)
            readers = Readers("attune", address, 1, 10)
            stack.callback(readers.kill)
            if halt:
                other.children[0].send_signal(signal.SIGSTOP)
            publish_for(seconds, publish)
            publish("end")
            ages = readers.end()[3]
            found.append((float(np.percentile(ages, 50)), float(np.percentile(ages, 99))))
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    console = Console()
    kinds = {"bare": "pyzmq alone", "decode": "pyzmq, decoded", "attune": "attune, both sides"}
    found = {kind: measure(kind, seconds) for kind in kinds}
    console.print(
        f"{PROCESSES * EACH} subscribers, {len(STREAMS)} streams, {RATE_HZ} results a second for "
        f"{seconds:g} s; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}"
    )
    table = Table("", "lost", "holes", "µs of publisher", "µs of subscriber", "ratio of both")
    for kind, name in kinds.items():
        one, least = found[kind], found["bare"]
        both = (one["publisher"] + one["subscriber"]) / (least["publisher"] + least["subscriber"])
        table.add_row(
            name,
            f"{one['lost']:.0f}",
            f"{one['holes']:.0f}",
            f"{one['publisher']:.1f}",
            f"{one['subscriber']:.1f}",
            f"{both:.2f}",
        )
    console.print(table)
    console.print(
        f"age of attune's results at the subscribers: p99 {found['attune']['p99_ms']:.1f} ms"
    )
    beside = Table("ten subscribers", "p50", "p99")
    for name, (p50, p99) in zip(
        ("alone", "one more, stopped", "alone", "one more, stopped"), stuck(seconds), strict=True
    ):
        beside.add_row(name, f"{p50:.2f} ms", f"{p99:.2f} ms")
    console.print(beside)


if __name__ == "__main__":
    main()
