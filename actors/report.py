"""What a run came to, for the summary at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import psutil

RECENT = 8192  # latencies kept for percentiles: over an hour of one stream


class Latest:
    """The latest numbers, at most `RECENT`, in memory that is taken at once and does not grow."""

    def __init__(self) -> None:
        self._kept = np.full(RECENT, np.nan, np.float32)  # written to, so that the pages are there
        self._count = 0

    def append(self, number: float) -> None:
        """Keep one more; the oldest goes when there is no room."""
        self._kept[self._count % RECENT] = number
        self._count += 1

    def values(self) -> np.ndarray:
        """(N,) float32, in no order."""
        return self._kept[: self._count].copy()


@dataclass(kw_only=True)
class StreamTotals:
    """What one stream came to. Latencies, the latest, in milliseconds beyond the
    window's end: of what was shown first. `windows` are settled; results by status. `skipped`
    windows were given up under overload; `given_up`: all that was, by what it is."""

    windows: int = 0
    skipped: int = 0
    given_up: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    first_index: int = 0  # windows before this one were shown before, and their latency counted
    end_ns: int = 0
    events: dict[str, int] = field(default_factory=dict)
    pushed: int = 0
    windowed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    health: dict[str, int] = field(default_factory=dict)
    latency_ms: Latest = field(default_factory=Latest)
    model_ms: Latest = field(default_factory=Latest)

    def add(self, pushed: int, windowed: int, dropped: Mapping[str, int]) -> None:
        """Enter the account of a segment that is over."""
        self.pushed += pushed
        self.windowed += windowed
        for reason, count in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count


@dataclass(kw_only=True)
class Report:
    """`cpu_s` by process, `wall_s` from the first packet asked for to the last message sent."""

    streams: dict[str, StreamTotals]
    failures: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def latency_ms(self) -> np.ndarray:
        """(N,) the latest latencies of all streams; empty where none was paced."""
        return np.concatenate(
            [np.empty(0), *(t.latency_ms.values() for t in self.streams.values())]
        )

    @property
    def model_ms(self) -> np.ndarray:
        """(N,) what the model took for the latest results of all streams."""
        return np.concatenate([np.empty(0), *(t.model_ms.values() for t in self.streams.values())])

    @property
    def cpu_share(self) -> float:
        """CPU time over wall time; 1.0 is one whole core."""
        return sum(self.cpu_s.values()) / self.wall_s if self.wall_s > 0 else 0.0


def cpu_seconds(pid: int | None = None) -> float:
    """User and system time of one process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def speech_s(spent_s: float) -> dict[str, float]:
    """What words made of speech have cost, as an entry of `cpu_s`; none where none were made."""
    return {"speech to text": spent_s} if spent_s else {}
