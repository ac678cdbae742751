"""How often the change-point detector cries wolf, and how late it is.

    python -m benchmarks.change_points [--hours 200]

Quiet input: sentiment that wanders about one level, as white noise and as an AR(1) process over
hops of 0.5 s, clipped to [-1, 1]; a false alarm is any event. Steps: the same noise with one step
after a minute; missed are those not told of within a minute. The alternative in the same run is
the textbook CUSUM that is told mean and spread beforehand, with the same slack and threshold.
Nothing here is drawn from data; seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from streaming.clock import NS_PER_S
from streaming.events.change import LEAST_CHANGE, SLACK, SentimentChange
from streaming.results import ClosedBy, Event, Phase, Prediction, Result, Sentiment, Signals
from streaming.settings import EventSettings

HOP_S, WINDOW_HOPS = 0.5, 4
NOISES = {
    "white, spread 0.05": (0.05, 0.0),
    "white, spread 0.2": (0.2, 0.0),
    "AR(1) 0.8, spread 0.1": (0.1, 0.8),
    "AR(1) 0.95, spread 0.1": (0.1, 0.95),
    "AR(1) 0.95, spread 0.2": (0.2, 0.95),
}


def noise(rng: np.random.Generator, count: int, spread: float, memory: float) -> np.ndarray:
    """An AR(1) process of this spread; `memory` from hop to hop."""
    out = np.empty(count)
    fresh = rng.normal(0.0, spread * np.sqrt(1 - memory**2), count)
    x = rng.normal(0.0, spread)
    for i in range(count):
        x = memory * x + fresh[i]
        out[i] = x
    return out


def predictions(moods: np.ndarray) -> Iterator[Prediction]:
    """One result a hop, windows of four hops."""
    for i, mood in enumerate(np.clip(moods, -1, 1)):
        end_ns = round((i + WINDOW_HOPS) * HOP_S * NS_PER_S)
        yield Prediction(
            result=Result(
                stream="s",
                index=i,
                start_ns=end_ns - round(WINDOW_HOPS * HOP_S * NS_PER_S),
                end_ns=end_ns,
                closed_by=ClosedBy.WATERMARK,
                sentiment=Sentiment(score=float(mood), low=-1, high=1),
                arousal=None,
                emotions=None,
                modalities={},
                signals=Signals(),
                model="m",
            )
        )


def detected(moods: np.ndarray) -> list[Event]:
    """The changes that Attune tells of."""
    kind = SentimentChange("s", EventSettings())
    return [e for p in predictions(moods) for e in kind.step(p) if e.phase is Phase.END]


def textbook(moods: np.ndarray, spread: float) -> int:
    """Alarms of Page's CUSUM with known mean 0 and spread, over the same scores."""
    high = low = 0.0
    alarms = 0
    for x in np.clip(moods, -1, 1)[::WINDOW_HOPS] / spread:
        high, low = max(0.0, high + x - SLACK), max(0.0, low - x - SLACK)
        if max(high, low) > EventSettings().sentiment_change:
            alarms, high, low = alarms + 1, 0.0, 0.0
    return alarms


def steps(rng: np.random.Generator, spread: float, memory: float, size: float) -> tuple[int, list]:
    """How many of 100 steps were missed, and the delays of the others in seconds."""
    missed, delays = 0, []
    at = round(60 / HOP_S)
    for _ in range(100):
        moods = noise(rng, 2 * at, spread, memory) - size / 2
        moods[at:] += size
        ends_s = [e.end_ns / NS_PER_S for e in detected(moods) if e.end_ns is not None]
        after = [t - 60 for t in ends_s if t > 60]
        missed += not after
        delays += after[:1]
    return missed, delays


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=200.0)
    hours = parser.parse_args().hours
    table = Table(title=f"Change points of sentiment, {hours:g} h of quiet input each")
    for name in ("input", "false/h", "textbook/h", "step 0.5 missed", "delay p50", "p95"):
        table.add_column(name)
    for name, (spread, memory) in NOISES.items():
        rng = np.random.default_rng(1)
        quiet = noise(rng, round(hours * 3600 / HOP_S), spread, memory)
        missed, delays = steps(rng, spread, memory, 0.5)
        late = [f"{q:.1f} s" for q in np.percentile(delays, (50, 95))] if delays else ["-", "-"]
        table.add_row(
            name,
            f"{len(detected(quiet)) / hours:.2f}",
            f"{textbook(quiet, spread) / hours:.2f}",
            f"{missed} %",
            *late,
        )
    Console().print(table)
    Console().print(
        f"changes under {LEAST_CHANGE} are not told of by Attune, but are by the textbook"
    )


if __name__ == "__main__":
    main()
