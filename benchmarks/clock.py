"""How well and at what cost device times become session times, beside two plain ways.

A simulated hour of a device whose crystal is off by 100 ppm; packets come up to 30 ms late in
three ways (uniform; exponential with that mean; gamma, where hardly any is on time), 2 % are lost
and they overtake each other. Beside the clock map: the arrival itself, and plain least squares over
all packets so far, which learns the drift but stays late by the mean delay, as it cannot know it.
Run: python -m benchmarks.clock
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.report import show, write
from streaming.clock_map import ClockMap

NS_PER_S, SECONDS, RATE_HZ = 1_000_000_000, 3600, 50
DRIFT, JITTER_NS, LOSS, BOOT_NS = 100e-6, 30e6, 0.02, 5_000 * NS_PER_S
Int64Array = npt.NDArray[np.int64]
Pairs = tuple[list[int], list[int]]
JITTERS: dict[str, Callable[[np.random.Generator, int], npt.NDArray[np.float64]]] = {
    "uniform": lambda random, n: random.uniform(0, JITTER_NS, n),
    "exponential": lambda random, n: random.exponential(JITTER_NS, n),
    "gamma": lambda random, n: random.gamma(2, JITTER_NS / 2, n),
}


class Arrival:
    """The way of most systems: a packet was made when it came."""

    def t_ns(self, device_ns: int, arrival_ns: int) -> int:
        return arrival_ns


class LeastSquares:
    """Arrival on device time by least squares over all packets so far, kept as five sums."""

    def __init__(self) -> None:
        self._zero: tuple[int, int] | None = None
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def t_ns(self, device_ns: int, arrival_ns: int) -> int:
        self._zero = self._zero or (device_ns, arrival_ns)
        x, y = (device_ns - self._zero[0]) / NS_PER_S, (arrival_ns - self._zero[1]) / NS_PER_S
        self._n, self._x, self._y = self._n + 1, self._x + x, self._y + y
        self._xx, self._xy = self._xx + x * x, self._xy + x * y
        spread = self._n * self._xx - self._x * self._x
        slope = (self._n * self._xy - self._x * self._y) / spread if spread > 0 else 1.0
        offset = (self._y - slope * self._x) / self._n
        return self._zero[1] + round((offset + slope * x) * NS_PER_S)


class Mapped:
    """`ClockMap`."""

    def __init__(self) -> None:
        self._clock = ClockMap()

    def t_ns(self, device_ns: int, arrival_ns: int) -> int:
        return self._clock.observe(device_ns, arrival_ns).t_ns


WAYS: dict[str, type[Arrival] | type[LeastSquares] | type[Mapped]] = {
    "clock map": Mapped,
    "arrival": Arrival,
    "least squares": LeastSquares,
}


def hour(jitter: str, seed: int) -> tuple[Int64Array, Pairs]:
    """True times, and (device, arrival) in the order of arrival."""
    random = np.random.default_rng(seed)
    true = BOOT_NS + np.arange(SECONDS * RATE_HZ, dtype=np.int64) * (NS_PER_S // RATE_HZ)
    true = true[random.random(len(true)) >= LOSS]
    arrival = true + JITTERS[jitter](random, len(true)).astype(np.int64)
    device = ((true - BOOT_NS) * (1 + DRIFT)).astype(np.int64)
    order = np.argsort(arrival, kind="stable")
    return true[order], (device[order].tolist(), arrival[order].tolist())


def measure(way: str, jitter: str) -> dict[str, object]:
    true, (device, arrival) = hour(jitter, seed=20)
    dater = WAYS[way]()
    began = time.perf_counter()
    dated = [dater.t_ns(d, a) for d, a in zip(device, arrival, strict=True)]
    took_us = (time.perf_counter() - began) / len(dated) * 1e6
    error_ms = np.abs(np.array(dated) - true) / 1e6
    learned = error_ms[true - BOOT_NS > 30 * NS_PER_S]
    return {
        "jitter": jitter,
        "way": way,
        "p50 ms": float(np.median(error_ms)),
        "p99 ms": float(np.percentile(error_ms, 99)),
        "worst after 30 s, ms": float(learned.max()),
        "us a packet": took_us,
    }


def main() -> None:
    ClockMap().observe(0, 0)  # compiles
    rows = [measure(way, jitter) for jitter in JITTERS for way in WAYS]
    show("An hour at 50 packets/s, 100 ppm, 30 ms, 2 % lost: error of the times", rows)
    write("clock", {"rows": rows})


if __name__ == "__main__":
    main()
