"""Each kind of live source is killed and started again twenty times; what do subscribers see?

    python -m benchmarks.source_loss [--times 20] [KIND ...]

One pipeline in one process, a stream for each kind, and one generated stream as a witness. For each
kind: how long until `source_lost` is published, and, after the source can be reached again, until
the first window that has it again is published. Of all other streams meanwhile: windows that never
came, losses told of that were none, and the longest time without a result. At the end, packets that
are in no account.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from actors.inline import InlinePipeline
from actors.report import Report
from actors.warmup import load_analyser, warm_aligner
from benchmarks.live_sources import Stand, stands, stream_of
from benchmarks.report import show, write
from streaming.health import HealthKind
from streaming.results import Health, Message, Result
from streaming.settings import AttuneSettings, OutputSettings, PipelineSettings, StreamSettings
from streaming.sinks import Sink
from streaming.source_settings import SyntheticSettings
from streaming.wire import decode

WITNESS = "witness"
SETTLE_S = 6.0  # more than a window, and so long that the source does not count as unsteady
AWAY_S = 3.0  # more than a window, so that the first one with the source is one after its return
PATIENCE_S = 30.0
ROUND_S = 20.0  # of the witness for each loss
NOTICED_S, GOOD_S = 2.0, 1.0


@dataclass
class Heard:
    """What was published, and when it came (monotonic seconds). A sink."""

    live = True
    results: list[tuple[float, Result]] = field(default_factory=list)
    health: list[tuple[float, Health]] = field(default_factory=list)

    def send(self, topic: bytes, payload: bytes) -> None:
        """Take one message."""
        self.take(decode(topic, payload))

    def take(self, message: Message) -> None:
        """The same, decoded."""
        if isinstance(message, Result):
            self.results.append((time.monotonic(), message))
        elif isinstance(message, Health):
            self.health.append((time.monotonic(), message))

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class Loss:
    """One kill: seconds until it was told of, and from the return to the first window."""

    noticed_s: float
    good_s: float


def main() -> int:
    """Print the table."""
    arguments = _parsed()
    with tempfile.TemporaryDirectory(prefix="attune-loss-") as name:
        found = stands(Path(name))
        unknown = [kind for kind in arguments.kinds if kind not in found]
        if unknown:
            print(f"unknown kind {unknown[0]!r}; there are: {', '.join(found)}", file=sys.stderr)
            return 2
        kept = {kind: stand for kind, stand in found.items() if kind in (arguments.kinds or found)}
        rows, heard = [], Heard()
        with running(kept, [heard], arguments.times * len(kept) * ROUND_S) as report:
            time.sleep(2 * SETTLE_S)
            for kind, stand in kept.items():
                rows.append(lose(kind, stand, heard, arguments.times))
                print(rows[-1], file=sys.stderr, flush=True)
    lost = unaccounted(report())
    show(f"sources lost and back, {arguments.times} times each", rows)
    print(f"packets that are in no account: {lost}")
    write("source_loss", {"times": arguments.times, "sources": rows, "unaccounted": lost})
    never = any(math.isinf(row["noticed max s"] + row["good max s"]) for row in rows)
    disturbed = any(row["others' windows missing"] + row["others told lost"] for row in rows)
    return int(lost > 0 or never or disturbed)


def lose(kind: str, stand: Stand, heard: Heard, times: int) -> dict[str, Any]:
    """Kill and start one source again and again; a row of the table."""
    began_s = time.monotonic()
    stream = stream_of(kind, stand).name
    losses = [_lost_once(stream, stand, heard) for _ in range(times)]
    noticed = np.array([loss.noticed_s for loss in losses])
    good = np.array([loss.good_s for loss in losses])
    others = [(t, r) for t, r in heard.results if r.stream != stream and t >= began_s]
    return {
        "source": kind,
        "noticed p50 s": round(float(np.median(noticed)), 2),
        "noticed max s": round(float(noticed.max()), 2),
        f"within {NOTICED_S:g} s": f"{int((noticed <= NOTICED_S).sum())}/{times}",
        "good p50 s": round(float(np.median(good)), 2),
        "good max s": round(float(good.max()), 2),
        f"good within {GOOD_S:g} s": f"{int((good <= GOOD_S).sum())}/{times}",
        "others' windows missing": _missing(others),
        "others told lost": sum(
            h.kind is HealthKind.SOURCE_LOST and h.stream != stream
            for t, h in heard.health
            if t >= began_s
        ),
        "others' longest silence s": round(_silence_s(others), 2),
    }


def _lost_once(stream: str, stand: Stand, heard: Heard) -> Loss:
    killed_s = time.monotonic()
    stand.kill()
    noticed_s = _until(
        lambda: next(
            (
                t - killed_s
                for t, h in reversed(heard.health)
                if t > killed_s and h.stream == stream and h.kind is HealthKind.SOURCE_LOST
            ),
            None,
        )
    )
    away_s = AWAY_S + getattr(stand.settings, "delay_ms", 0) / 1000  # as long as some waits
    time.sleep(max(away_s - (time.monotonic() - killed_s), 0))
    stand.start()
    back_s = time.monotonic()
    good_s = _until(
        lambda: next(
            (
                t - back_s
                for t, r in heard.results
                if t > back_s and r.stream == stream and r.modalities[stand.modality].packets
            ),
            None,
        )
    )
    time.sleep(SETTLE_S)
    return Loss(noticed_s, good_s)


def _until(found: Callable[[], float | None]) -> float:
    """What `found` gives once it gives something; infinite when it never does."""
    until_s = time.monotonic() + PATIENCE_S
    while (value := found()) is None:
        if time.monotonic() > until_s:
            return float("inf")
        time.sleep(0.02)
    return value


def _missing(results: list[tuple[float, Result]]) -> int:
    seen: dict[str, set[int]] = {}
    for _, result in results:
        seen.setdefault(result.stream, set()).add(result.index)
    return sum(max(found) - min(found) + 1 - len(found) for found in seen.values())


def _silence_s(results: list[tuple[float, Result]]) -> float:
    times: dict[str, list[float]] = {}
    for t, result in results:
        times.setdefault(result.stream, []).append(t)
    return max((b - a for found in times.values() for a, b in pairwise(found)), default=0.0)


def unaccounted(report: Report) -> int:
    """Packets that were neither put into a window nor counted as dropped."""
    return sum(
        abs(t.pushed - t.windowed - sum(t.dropped.values())) for t in report.streams.values()
    )


@contextmanager
def running(
    kinds: dict[str, Stand],
    sinks: list[Sink],
    seconds: float,
    others: tuple[StreamSettings, ...] = (),
) -> Iterator[Callable[[], Report]]:
    """A pipeline over all of them and a witness, for up to so many seconds; what is given tells its
    report once it is left."""
    for stand in kinds.values():
        stand.start()
    scene = SyntheticSettings(scene="card", duration_s=seconds + 60)
    streams = [stream_of(kind, stand) for kind, stand in kinds.items()]
    settings = AttuneSettings(
        streams=(*streams, StreamSettings(name=WITNESS, sources=(scene,)), *others),
        output=OutputSettings(publish=""),
        pipeline=PipelineSettings(max_age_ms=0),  # every window is asked for, on any machine
    )
    stop, reports = threading.Event(), list[Report]()
    warm_aligner()
    pipeline = InlinePipeline(settings, load_analyser(settings.model), sinks)
    thread = threading.Thread(target=lambda: reports.append(pipeline.run(stop)))
    thread.start()
    try:
        yield lambda: reports[0]
    finally:
        stop.set()
        thread.join(60)
        for stand in kinds.values():
            stand.kill()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill and restart each kind of live source.")
    parser.add_argument("kinds", nargs="*", help="which; all, if none is named")
    parser.add_argument("--times", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
