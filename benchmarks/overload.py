"""What is served when there is twice as much as can be carried, and what becomes of the rest.

First the model is short of time:

Streams of the generated scene (sound and a face) on Ray, in real time. The model is slowed by a
wait for each hop, so that a few streams overload it while the rest of the machine has room: what is
measured is what the pipeline does when the model is behind, not this machine's speed. `CARRIED`
streams fill 80 % of the model's time; twice as many are run, with the limit of age as it is by
default, and once more with none: a queue, as before there was a limit. That run is stopped a while
after the end of the scene, when much of it still waits.

Then the whole machine is: `CLIPS` clips as of `benchmarks.streams` on two cores, and more on more,
read in real time; half as many, and as many with no limit beside it.

`python -m benchmarks.overload [SECONDS] [model|machine]`
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

import actors.ray_pipeline as ray_pipeline
from actors.nodes import InferNode
from actors.report import Report
from benchmarks.report import show, write
from benchmarks.scene import make_clip
from streaming.clock import NS_PER_MS
from streaming.health import HealthKind
from streaming.results import Health, Message, Result
from streaming.settings import (
    AttuneSettings,
    OutputSettings,
    PipelineSettings,
    StreamSettings,
    WindowSettings,
)
from streaming.source_settings import MediaSettings, SourceSettings, SyntheticSettings, TextSettings
from streaming.wire import decode

CARRIED = 4
CLIPS = 40  # on two cores: twice what they carry
AGE_MS = PipelineSettings().max_age_ms
BUSY = 0.8  # of the model's time, by the streams that it carries
HOPS_PER_S = 2
AIM_MS = 500.0
SETTLE_S = 40.0  # before memory is looked at: links keep what they sent for 30 s
EVERY_S = 0.5
# Ray gives its workers a niceness of 15; beside other busy programs they would get next to nothing.
RAY = {"RAY_worker_niceness": "0"}
GUARD_S = 10.0  # after the end of the scene a run is stopped


class SlowNode(InferNode):
    """Infer, with a wait of `WAIT_S` for each hop."""

    WAIT_S = BUSY / CARRIED / HOPS_PER_S

    def ready(self) -> tuple[str, int] | None:
        """As `InferNode`, then slowed."""
        complaint = super().ready()
        assert self._analyser is not None
        self._analyser.step = _slowed(self._analyser.step, self.WAIT_S)  # type: ignore[method-assign]
        return complaint


def _slowed(step: Callable[..., Any], wait_s: float) -> Callable[..., Any]:
    def slow(windows: Any) -> Any:
        """At least `wait_s` for each hop, the model's own time included."""
        began_s = time.monotonic()
        scores = step(windows)
        due_s = began_s + wait_s * sum(len(window.new_hops) for window in windows)
        time.sleep(max(due_s - time.monotonic(), 0))
        return scores

    return slow


class Watcher(threading.Thread):
    """Hears all messages, and looks at the memory of all processes, until `done` is set."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.done = threading.Event()
        self.results: list[Result] = []
        self.health: list[Health] = []
        self.memory: list[tuple[float, float]] = []

    def run(self) -> None:
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(self._address)
        socket.subscribe("")
        began_s = due_s = time.monotonic()
        while socket.poll(100) or not self.done.is_set():
            if (now_s := time.monotonic()) >= due_s:
                self.memory.append((now_s - began_s, _memory_mb()))
                due_s = now_s + EVERY_S
            if socket.poll(0):
                self._hear(decode(*socket.recv_multipart()))
        socket.close(0)

    def _hear(self, message: Message) -> None:
        if isinstance(message, Result):
            self.results.append(message)
        elif isinstance(message, Health):
            self.health.append(message)


def main() -> None:
    """Both parts, or the one that is named."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    os.environ.update(RAY)
    if part in ("", "machine"):
        machine(seconds)
    if part in ("", "model"):
        model(seconds)


def machine(seconds: int) -> None:
    """Clips: as many as are carried, twice as many, and twice as many without a limit."""
    with tempfile.TemporaryDirectory() as folder:
        clip, words = make_clip(Path(folder), seconds)
        sources = (MediaSettings(url=str(clip)), TextSettings(path=str(words)))
        count = CLIPS * (os.cpu_count() or 1) // 4
        rows = [
            measure("carried", count, AGE_MS, seconds, sources),
            measure("twice that", 2 * count, AGE_MS, seconds, sources),
            measure("twice, no limit", 2 * count, 0.0, seconds, sources),
        ]
    _tell("machine", rows, f"{seconds} s of clips in real time")


def model(seconds: int) -> None:
    """Scenes: what the slowed model carries, twice that, and twice that without a limit."""
    ray_pipeline.InferNode = SlowNode  # type: ignore[misc]
    scene = (SyntheticSettings(scene="card", duration_s=seconds),)
    rows = [
        measure("carried", CARRIED, AGE_MS, seconds, scene),
        measure("twice that", 2 * CARRIED, AGE_MS, seconds, scene),
        measure("twice, no limit", 2 * CARRIED, 0.0, seconds, scene),
    ]
    wait_ms = 1000 * SlowNode.WAIT_S
    _tell("model", rows, f"{seconds} s in real time; the model takes {wait_ms:.0f} ms for each hop")


def _tell(part: str, rows: list[dict[str, Any]], title: str) -> None:
    show(title, rows)
    ratio = rows[2]["age p99 ms"] / rows[1]["age p99 ms"]
    reached = "kept" if rows[1]["age p99 ms"] <= AIM_MS else "MISSED"
    print(f"served age of {AIM_MS:.0f} ms {reached}; without a limit {ratio:.1f} times as old")
    write(f"overload-{part}", {"title": title, "rows": rows, "ratio": ratio})


def measure(
    name: str, streams: int, max_age_ms: float, seconds: int, sources: tuple[SourceSettings, ...]
) -> dict[str, Any]:
    """One run."""
    settings = AttuneSettings(
        streams=tuple(StreamSettings(name=f"s{i}", sources=sources) for i in range(streams)),
        output=OutputSettings(publish=""),
        pipeline=PipelineSettings(max_age_ms=max_age_ms),
    )
    with ray_pipeline.RayPipeline(settings) as pipeline:
        pipeline.start()
        watcher = Watcher(pipeline.view_address)
        watcher.start()
        stop = threading.Event()
        # Without a limit it does not end: windows come by the clock, faster than they are scored.
        guard = threading.Timer(seconds + GUARD_S, stop.set)
        guard.start()
        report = pipeline.run(stop)
        guard.cancel()
        watcher.done.set()
        watcher.join()
    row = {
        "run": name,
        "streams": streams,
        **_served(watcher, seconds),
        "stopped": stop.is_set(),
        **_account(report, watcher.health),
    }
    print(row, file=sys.stderr, flush=True)
    return row


def _served(watcher: Watcher, seconds: int) -> dict[str, Any]:
    paced = [r.timing.total_ms for r in watcher.results if r.timing.total_ms is not None]
    p50, p99 = np.percentile(paced, (50, 99))
    memory = np.array([m for m in watcher.memory if SETTLE_S < m[0] < seconds])
    slope, _ = np.polyfit(memory[:, 0], memory[:, 1], 1)
    covered = [r.modalities["video"].coverage for r in watcher.results]
    restarts = sum(h.kind is HealthKind.RESTARTED for h in watcher.health)
    return {
        "age p50 ms": round(float(p50), 1),
        "age p99 ms": round(float(p99), 1),
        "oldest ms": round(max(paced), 1),
        "memory MB/min": round(float(slope) * 60, 2),
        "restarts": restarts,
        "of pictures %": round(100 * float(np.mean(covered)), 1),
    }


def _account(report: Report, health: list[Health]) -> dict[str, Any]:
    """Windows and packets, and those of which nobody knows where they are."""
    totals = list(report.streams.values())
    ends_ns = [h.t_ns for h in health if h.kind is HealthKind.STREAM_ENDED]
    geometry = WindowSettings()
    length_ns, hop_ns = geometry.length_ms * NS_PER_MS, geometry.hop_ms * NS_PER_MS
    closed = sum(round((end_ns - length_ns) / hop_ns) + 1 for end_ns in ends_ns)
    gaps = sum(t.health.get(HealthKind.GAP, 0) for t in totals)
    lost = [t.pushed - t.windowed - sum(t.dropped.values()) for t in totals]
    given_up: dict[str, int] = {}
    for t in totals:
        for what, count in (*t.given_up.items(), *t.dropped.items()):
            given_up[what] = given_up.get(what, 0) + count
    return {
        "served": sum(t.windows for t in totals),
        "given up, dropped": ", ".join(f"{n} {what}" for what, n in given_up.items()) or "0",
        "gaps": gaps,
        "packets unaccounted": sum(map(abs, lost)),
        "windows unaccounted": closed - sum(t.windows + t.skipped for t in totals) - gaps,
    }


def _memory_mb() -> float:
    """Of this process and all below it, what no file backs."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            memory = process.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += memory.rss - memory.shared
    return total / 1e6


if __name__ == "__main__":
    main()
