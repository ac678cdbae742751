"""Chaos: each part of a running pipeline is killed and frozen in turn; what do subscribers see?

    make chaos        (or: python -m benchmarks.chaos [--turns 1] [--hang-s 5])

One `attune run` in real time with two generated streams, and a subscriber. Each part gets SIGKILL,
then SIGSTOP. For each fault: the longest time in which a stream had no good result, the time
until the pipeline says "restarted", the windows that never came (by their index), and how many of
those nobody told of.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from attune.client import Delivery, subscribe
from streaming.health import HealthKind
from streaming.results import Health, Message, Result

PARTS = {
    "publish": "PublishNode",
    "infer": "InferNode",
    "align": "AlignNode",
    "ingest": "IngestNode",
}
SETTLE_S = 6.0
START_S = 120.0
BACK_S = 30.0
SCENE_S = 300
GOOD = 0.9  # coverage of at least one modality


@dataclass
class Log:
    """What one subscriber got, with the session time at which it came."""

    results: list[tuple[float, Result]] = field(default_factory=list)
    health: list[tuple[float, Health]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    def take(self, message: Message) -> None:
        now_s = time.monotonic()
        if isinstance(message, Result):
            self.results.append((now_s, message))
            if message.epoch not in self.epochs:
                self.epochs.append(message.epoch)
        elif isinstance(message, Health):
            self.health.append((now_s, message))

    def restarted_s(self, since_s: float) -> float | None:
        return next(
            (t - since_s for t, h in self.health if t > since_s and h.kind is HealthKind.RESTARTED),
            None,
        )

    def missing(self) -> dict[str, list[int]]:
        """By stream, the windows between the first and the last that never came."""
        seen: dict[str, set[int]] = {}
        for _, result in self.results:
            seen.setdefault(result.stream, set()).add(result.index)
        return {s: sorted(set(range(min(i), max(i) + 1)) - i) for s, i in seen.items()}

    def told(self) -> int:
        """Windows that the pipeline itself has said are missing."""
        return sum(
            h.count for _, h in self.health if h.kind is HealthKind.GAP and h.modality is None
        )


@dataclass
class Outcome:
    """Of one fault."""

    part: str
    fault: str
    silence_s: float | None
    restarted_s: float | None
    missing: int
    told: int
    repeated: int


def main() -> int:
    arguments = _parsed()
    console = Console()
    with _running(arguments.hang_s) as (process, log):
        outcomes = [
            _strike(process, log, part, fault)
            for _ in range(arguments.turns)
            for fault in (signal.SIGKILL, signal.SIGSTOP)
            for part in PARTS
        ]
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    console.print(_table(outcomes))
    undetected = sum(max(o.missing - o.told, 0) for o in outcomes)
    console.print(
        f"{len(log.results)} results, {len(log.epochs)} epochs; windows lost and not told of: "
        f"{undetected}; exit code after Ctrl-C: {code}"
    )
    return 1 if undetected or any(o.silence_s is None for o in outcomes) else 0


def _strike(process: subprocess.Popen[str], log: Log, part: str, fault: signal.Signals) -> Outcome:
    """One fault, and what came of it until all was quiet again."""
    missing, told, count = _count(log.missing()), log.told(), len(log.results)
    victim = next(p for p in _family(process) if f"ray::{PARTS[part]}" in _title(p))
    at_s = time.monotonic()
    os.kill(victim.pid, fault)
    until = at_s + BACK_S
    while time.monotonic() < until and log.restarted_s(at_s) is None:
        time.sleep(0.05)
    time.sleep(SETTLE_S)
    new = [(r.epoch, r.stream, r.index) for _, r in log.results[count:]]
    old = {(r.epoch, r.stream, r.index) for _, r in log.results[:count]}
    return Outcome(
        part=part,
        fault=fault.name,
        silence_s=_longest_silence_s(log, at_s),
        restarted_s=log.restarted_s(at_s),
        missing=_count(log.missing()) - missing,
        told=log.told() - told,
        repeated=len(new) - len(set(new) - old),
    )


def _longest_silence_s(log: Log, at_s: float) -> float | None:
    """The longest time after the fault in which one of the streams had no good result."""
    silences = []
    for stream in {r.stream for _, r in log.results}:
        good = [t for t, r in log.results if t > at_s and r.stream == stream and _is_good(r)]
        silences += [b - a for a, b in pairwise([at_s, *good, time.monotonic()])]
    return max(silences, default=None)


def _is_good(result: Result) -> bool:
    return any(receipt.coverage >= GOOD for receipt in result.modalities.values())


def _count(missing: dict[str, list[int]]) -> int:
    return sum(map(len, missing.values()))


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="Chaos: two streams, one subscriber", title_justify="left")
    for heading in (
        "part",
        "fault",
        "longest silence s",
        "told after s",
        "windows missing",
        "told of",
        "repeated",
    ):
        table.add_column(heading, justify="left" if heading in ("part", "fault") else "right")
    for o in outcomes:
        table.add_row(
            o.part,
            o.fault,
            _seconds(o.silence_s),
            _seconds(o.restarted_s),
            str(o.missing),
            str(o.told),
            str(o.repeated),
        )
    return table


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


@contextmanager
def _running(hang_s: float) -> Iterator[tuple[subprocess.Popen[str], Log]]:
    """A pipeline whose results have begun to come, and the log of a subscriber."""
    log = Log()
    with tempfile.TemporaryDirectory(prefix="attune-chaos-") as folder:
        config, address = Path(folder) / "chaos.yaml", f"ipc://{folder}/results"
        scene = f"{{kind: synthetic, scene: portrait, duration_s: {SCENE_S}}}"
        config.write_text(
            f"streams: [{{name: one, sources: [{scene}]}}, {{name: two, sources: [{scene}]}}]\n"
            f"pipeline: {{restarts: 20, hang_s: {hang_s}, standby: true}}\n"
            f"output: {{publish: '{address}'}}\n"
        )
        command = [sys.executable, "-m", "attune", "run", str(config)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=_listen, args=(address, log), daemon=True).start()
        try:
            until = time.monotonic() + START_S
            while len(log.results) < 8 and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(SETTLE_S)  # the standby gets ready
            yield process, log
        finally:
            if process.poll() is None:
                for child in [*_family(process), psutil.Process(process.pid)]:
                    child.kill()
            print(process.stderr.read() if process.stderr else "", file=sys.stderr)


def _listen(address: str, log: Log) -> None:
    for item in subscribe(address):
        if isinstance(item, Delivery):
            log.take(item.message)


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill and freeze each part of a pipeline.")
    parser.add_argument("--turns", type=int, default=1, help="how often each fault comes")
    parser.add_argument("--hang-s", type=float, default=5.0, help="silence taken for death")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
