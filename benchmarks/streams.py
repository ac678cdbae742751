"""How many live streams one machine carries, and where the CPU goes.

Each stream is a 640x360, 30 fps clip with sound and words, read in real time on Ray. The yardstick
is `benchmarks.bare_loop`: the same decoder, detector and nets without any framework, one process
for each core, in the same run. A load is carried when every window came, nothing was dropped and
the 99th percentile of the latency beyond the window's end stays within 250 ms.

`python -m benchmarks.streams [SECONDS]`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from actors.ray_pipeline import RayPipeline
from actors.report import Report
from benchmarks.report import show, write
from benchmarks.scene import make_clip
from streaming.settings import AttuneSettings, OutputSettings, StreamSettings
from streaming.source_settings import MediaSettings, TextSettings

COUNTS = (1, 2, 4, 8, 16, 20, 24)
LIMIT_MS = 250.0


def main() -> None:
    """Print the yardstick, the curve and the ratio."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        clip, words = make_clip(Path(folder), seconds)
        bare = bare_loop(clip)
        rows = []
        for count in COUNTS:
            rows.append(carry(count, clip, words, seconds, bare["per_stream"]))
            print(rows[-1], file=sys.stderr, flush=True)
            if not rows[-1]["carried"]:
                break
    show(f"bare loop, {os.cpu_count()} processes", [_flat(bare)])
    show(f"live streams on Ray, {seconds} s each; CPU in % of a core for each stream", rows)
    most = max((r["streams"] for r in rows if r["carried"]), default=0)
    ratio = most / bare["streams"]
    print(f"carried {most} streams; bare loop {bare['streams']:.1f}; ratio at least {ratio:.2f}")
    write("streams", {"bare_loop": bare, "curve": rows, "carried": most, "ratio": ratio})


def bare_loop(clip: Path) -> dict[str, Any]:
    """One process for each core at full speed; how many streams that would be."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", str(clip)]
    pipe = subprocess.PIPE
    loops = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        for _ in range(os.cpu_count() or 1)
    ]
    for loop in loops:
        assert loop.stdout is not None
        loop.stdout.readline()  # "ready": the nets are loaded
    _start(loops)
    outcomes = [json.loads(loop.communicate()[0]) for loop in loops]
    parts = outcomes[0]["cpu_s"]
    return {
        "streams": sum(o["media_s"] / o["wall_s"] for o in outcomes),
        "per_stream": {
            part: 100 * float(np.mean([o["cpu_s"][part] / o["media_s"] for o in outcomes]))
            for part in parts
        },
    }


def _start(loops: list[subprocess.Popen[str]]) -> None:
    """Let all of them go before any is waited for."""
    for loop in loops:
        assert loop.stdin is not None
        loop.stdin.write("go\n")
        loop.stdin.flush()


def carry(
    count: int, clip: Path, words: Path, seconds: int, parts: dict[str, float]
) -> dict[str, Any]:
    """Run `count` streams in real time; what it took."""
    settings = AttuneSettings(
        streams=tuple(
            StreamSettings(
                name=f"s{i}",
                sources=(MediaSettings(url=str(clip)), TextSettings(path=str(words))),
            )
            for i in range(count)
        ),
        output=OutputSettings(publish=""),
    )
    with RayPipeline(settings) as pipeline:
        pipeline.start()
        before = _cpu_of_all()
        report = pipeline.run(threading.Event())
        everything = _cpu_of_all() - before
    return _row(count, seconds, report, everything, parts)


def _row(
    count: int, seconds: int, report: Report, everything_s: float, parts: dict[str, float]
) -> dict[str, Any]:
    windows = sum(t.windows for t in report.streams.values())
    dropped = sum(sum(t.dropped.values()) for t in report.streams.values())
    passed_over = sum(
        t.health.get("drop", 0) + t.health.get("overload", 0) for t in report.streams.values()
    )
    expected = count * ((seconds - 2) * 2 + 1)
    share = 100 / report.wall_s / count
    stages = sum(v for k, v in report.cpu_s.items() if k != "driver") * share
    infer = report.cpu_s["infer"] * share
    p50, p99 = np.percentile(report.latency_ms, (50, 99))
    return {
        "streams": count,
        "p50 ms": round(float(p50), 1),
        "p99 ms": round(float(p99), 1),
        "model ms": round(float(np.median(report.model_ms)), 1),
        "windows": windows,
        "dropped": dropped + passed_over,
        "CPU": everything_s * share,
        "decode*": parts["decode"],
        "detection*": parts["detection"],
        "model": infer,
        "Ray": everything_s * share - stages,
        "rest": stages - infer - parts["decode"] - parts["detection"],
        "carried": bool(p99 <= LIMIT_MS and windows >= expected and not dropped + passed_over),
    }


def _cpu_of_all() -> float:
    """CPU seconds of this process and all below it: actors, raylet, GCS, agents."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _flat(bare: dict[str, Any]) -> dict[str, Any]:
    return {"streams": bare["streams"], **{f"{k} %": v for k, v in bare["per_stream"].items()}}


if __name__ == "__main__":
    main()
