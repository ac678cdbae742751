"""From what is captured live to a subscriber: how long after a window's end its result is there.

Microphone (a real PulseAudio server), pictures over the network (MPEG-TS over UDP) and words posted
to the WebSocket served by Attune, analysed by `attune run` on Ray, received by a ZeroMQ subscriber.
The named alternatives, in the same run: the same devices inline, without Ray; and a file in real
time on Ray, which waits for no device.

    python -m benchmarks.live_latency [--seconds 60] [--only microphone,network,words]

Needs PulseAudio, its tools and the ALSA plugin for it (Debian: pulseaudio, pulseaudio-utils,
libasound2-plugins); without them it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml
import zmq

from benchmarks.live_feeds import heard, said, sent
from benchmarks.live_sources import free_ports
from benchmarks.report import show, write
from benchmarks.scene import make_clip

START_S, END_S = 180.0, 120.0
SETTLE = 20  # windows: connections are made, filters settle
CLIP_S = 30
DEVICES = ("microphone", "network", "words")
STAGES = ("align", "queue", "model", "publish", "wire")


def main() -> int:
    arguments = _parsed()
    needed = [tool for tool in ("pulseaudio", "pacat", "pactl") if shutil.which(tool) is None]
    if needed:
        print(f"live_latency is left out: it needs {', '.join(needed)}; install pulseaudio-utils")
        return 0
    only = arguments.only.split(",")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clip, captions = make_clip(folder, CLIP_S, tune="zerolatency")
        (folder / "sound").mkdir()
        udp, words, out = free_ports(3)
        env = stack.enter_context(heard(folder / "sound", clip))
        stack.enter_context(sent(clip, f"udp://127.0.0.1:{udp}?pkt_size=1316"))
        stack.enter_context(said(f"ws://127.0.0.1:{words}"))
        live = _live(only, udp, words)
        file = [
            {"kind": "media", "url": str(clip)},
            {"kind": "text", "path": str(captions)},
        ]
        runs = {
            "live, Ray": (live, "ray", arguments.seconds),
            "live, inline": (live, "inline", arguments.seconds),
            "file, Ray": (file, "ray", CLIP_S),
        }
        rows = []
        for name, (sources, runtime, seconds) in runs.items():
            results = _run(sources, runtime, f"tcp://127.0.0.1:{out}", seconds, env, folder)
            rows.append(_row(name, results[SETTLE:]))
    for row in rows:
        row["p50 / live, inline"] = round(row["p50 ms"] / rows[1]["p50 ms"], 2)
        row["p50 / file, Ray"] = round(row["p50 ms"] / rows[2]["p50 ms"], 2)
    show(f"window's end to subscriber, {', '.join(only)}, {arguments.seconds} s", rows)
    write("live_latency", {"only": only, "rows": rows, "aim": {"p50 ms": 80, "p99 ms": 250}})
    return 0


def _live(only: list[str], udp: int, words: int) -> list[dict[str, Any]]:
    sources = {
        "microphone": {"kind": "microphone", "device": "room"},
        "network": {"kind": "media", "url": f"udp://127.0.0.1:{udp}", "audio": False},
        "words": {"kind": "text", "path": f"ws+listen://127.0.0.1:{words}"},
    }
    return [sources[device] for device in only]


def _run(
    sources: list[dict[str, Any]],
    runtime: str,
    address: str,
    seconds: float,
    env: dict[str, str],
    folder: Path,
) -> list[dict[str, Any]]:
    """Results of `attune run` as a subscriber got them, with `received_unix_ns`."""
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "streams": [{"name": "room", "consent": True, "sources": sources}],
                "pipeline": {"runtime": runtime},
                "output": {"publish": address},
            }
        )
    )
    paths = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "attune", "run", str(config)],
        env=env | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.connect(address)
        subscriber.subscribe(b"result/")
        try:
            return _received(subscriber, process, seconds)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                print(f"live_latency: the run did not end within {END_S:.0f} s of Ctrl-C")


def _received(
    subscriber: zmq.Socket[bytes], process: subprocess.Popen[bytes], seconds: float
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        if not subscriber.poll(100):
            continue
        data = subscriber.recv_multipart()[1]
        received_unix_ns = time.time_ns()
        if not results:
            until_s = time.monotonic() + seconds
        results.append(json.loads(data) | {"received_unix_ns": received_unix_ns})
    if len(results) <= SETTLE:
        raise SystemExit(f"live_latency: only {len(results)} results came; see above for why")
    return results


def _row(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    results = [r for r in results if r["closed_by"] != "end"]
    spent = [_spent(result) for result in results]
    beyond = np.array([sum(stages.values()) for stages in spent])
    p50, p95, p99 = np.percentile(beyond, (50, 95, 99))
    medians = {f"{s} p50": round(float(np.median([x[s] for x in spent])), 1) for s in STAGES}
    whole = [
        f"{kind} {np.mean([r['modalities'][kind]['coverage'] for r in results]):.2f}"
        for kind in results[-1]["modalities"]
    ]
    return {
        "": name,
        "windows": len(results),
        "p50 ms": round(float(p50), 1),
        "p95 ms": round(float(p95), 1),
        "p99 ms": round(float(p99), 1),
        **medians,
        "by deadline": [r["closed_by"] for r in results].count("deadline"),
        "coverage": " ".join(whole),
    }


def _spent(result: dict[str, Any]) -> dict[str, float]:
    """Milliseconds by stage, from the window's end to the subscriber."""
    timing = result["timing"]
    known = {stage: timing[f"{stage}_ms"] for stage in ("align", "queue", "model")}
    wire_ms = (result["received_unix_ns"] - timing["published_unix_ns"]) / 1e6
    return {**known, "publish": timing["total_ms"] - sum(known.values()), "wire": wire_ms}


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default=",".join(DEVICES), help="devices, with commas")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
