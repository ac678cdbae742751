"""What forwarding a message costs, beside a plain zmq.proxy (XSUB to XPUB) in the same run.

    python -m benchmarks.forward [--seconds 10] [--upstreams 4] [--rate 400]

This process publishes results, as runs do, at so many addresses and an even pace; one process
joins them, another one reads. The proxy passes bytes on: it numbers, checks, keeps and mends
nothing, so it is the least that joining can cost. CPU is that of the joining process, all threads,
less what it uses while only heartbeats come. Latency: from publication to the reader. Kinds take
turns, three rounds each; the median round counts.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.publish import RESULT
from benchmarks.report import machine, show, write
from streaming.sinks import Publisher, ZmqPublisher, open_replay

ROUNDS, START_S = 3, 60.0
PROBE, LAST = -2, -1  # in place of a window's index
PROXY = """
import sys, zmq
context = zmq.Context()
front, back = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
for address in sys.argv[2:]:
    front.connect(address)
back.bind(sys.argv[1])
zmq.proxy(front, back)
"""
READER = """
import json, sys, time
import msgspec, zmq
from streaming.results import Result
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 0)
socket.subscribe("result/")
for address in sys.argv[2:]:
    socket.connect(address)
decode, ages, probed, ready = msgspec.json.Decoder(Result).decode, [], set(), False
while True:
    topic, payload = socket.recv_multipart()
    now, result = time.time_ns(), decode(payload)
    if result.index == -1:
        break
    if result.index == -2 and not ready:
        probed.add(topic)
        ready = len(probed) == int(sys.argv[1])
        if ready:
            print("ready", flush=True)
    if result.index == -2 or not ready:
        continue
    way = result.forwarded
    first = way[0].published_unix_ns if way else result.timing.published_unix_ns
    ages.append((now - first) / 1e6)
print(json.dumps(ages))
"""


class Source:
    """A publisher with two streams, the replay ring included."""

    def __init__(self, folder: str, number: int) -> None:
        self.address = f"ipc://{folder}/source-{number}"
        sink = ZmqPublisher(self.address)
        ring = open_replay(self.address, span_s=600, max_bytes=64_000_000)
        self.publisher = Publisher([ring, sink])
        self.results = [
            msgspec.structs.replace(RESULT, stream=f"cam{number}-{i}") for i in range(2)
        ]


def command(kind: str, out: str, addresses: list[str]) -> list[str]:
    """The process that joins."""
    if kind == "zmq.proxy":
        return [sys.executable, "-c", PROXY, out, *addresses]
    return [sys.executable, "-m", "attune", "forward", *addresses, "--publish", out]


def pace(sources: list[Source], seconds: float, rate_hz: float) -> int:
    """Publish for so long; at 0 Hz heartbeats only. How many results."""
    begin, count = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        for source in sources:
            source.publisher.beat(time.monotonic_ns())
        if not rate_hz:
            time.sleep(0.05)
            continue
        source = sources[count % len(sources)]
        source.publisher.publish(source.results[count // len(sources) % 2])
        count += 1
        ahead_s = begin + count / rate_hz - time.monotonic()
        if ahead_s > 0:  # who sleeps for no time gives the core away all the same
            time.sleep(ahead_s)
    return count


def probe_until_ready(sources: list[Source], reader: subprocess.Popen[str]) -> None:
    """Until the reader hears each source, through whatever is between."""
    assert reader.stdout is not None
    limit_s = time.monotonic() + START_S
    while not select.select([reader.stdout], [], [], 0.05)[0]:
        for source in sources:
            probe = msgspec.structs.replace(source.results[0], index=PROBE)
            source.publisher.publish(probe)
            source.publisher.beat(time.monotonic_ns())
        if time.monotonic() > limit_s:
            raise TimeoutError("the reader does not hear all publishers")
    reader.stdout.readline()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, with the precision of the kernel's scheduler."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def measure(kind: str, sources: list[Source], seconds: float, rate_hz: float) -> dict[str, float]:
    """One round of one kind."""
    with ExitStack() as stack:
        out = f"ipc://{stack.enter_context(tempfile.TemporaryDirectory())}/out"
        addresses = [source.address for source in sources]
        reads, pid = addresses, os.getpid()
        if kind != "direct":
            joining = subprocess.Popen(command(kind, out, addresses), stderr=subprocess.DEVNULL)
            stack.callback(joining.wait)
            stack.callback(joining.kill)
            reads, pid = [out], joining.pid
        asked = [sys.executable, "-c", READER, str(len(sources)), *reads]
        reader = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
        stack.callback(reader.kill)
        probe_until_ready(sources, reader)
        idle = cpu_s(pid)
        pace(sources, seconds / 2, 0)
        begun = cpu_s(pid)
        count = pace(sources, seconds, rate_hz)
        pace(sources, 0.5, 0)
        ended = cpu_s(pid)
        last = msgspec.structs.replace(sources[0].results[0], index=LAST)
        sources[0].publisher.publish(last)
        ages = json.loads(reader.communicate(timeout=60)[0])
    idle_rate = (begun - idle) / (seconds / 2)
    spent = ended - begun - idle_rate * (seconds + 0.5)
    return {
        "a second": count / seconds,
        "lost": count - len(ages),
        "CPU us": spent / count * 1e6,
        "idle %": 100 * idle_rate,
        "p50 ms": float(np.percentile(ages, 50)),
        "p99 ms": float(np.percentile(ages, 99)),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--upstreams", type=int, default=4)
    parser.add_argument("--rate", type=float, default=400.0, help="results a second, of all")
    asked = parser.parse_args()
    kinds = ("direct", "zmq.proxy", "attune forward")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        sources = [Source(folder, number) for number in range(asked.upstreams)]
        for _ in range(ROUNDS):
            for kind in kinds:
                found[kind].append(measure(kind, sources, asked.seconds, asked.rate))
        for source in sources:
            source.publisher.close()
    rows = [
        {"": kind} | {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        for kind, rounds in found.items()
    ]
    for name in ("CPU us", "idle %"):
        rows[0][name] = "-"  # it is that of the publishers
    load = machine()["load"]
    show(f"{asked.upstreams} upstreams, {asked.rate:g} results a second, load {load}", rows)
    ratio = rows[2]["CPU us"] / rows[1]["CPU us"]
    print(f"attune forward takes {ratio:.1f} times the CPU of zmq.proxy for each message,", end=" ")
    print(f"p50 {rows[2]['p50 ms'] / rows[1]['p50 ms']:.2f} times as late")
    write("forward", {"rows": rows, "ratio": round(ratio, 2), "rate": asked.rate})


if __name__ == "__main__":
    main()
