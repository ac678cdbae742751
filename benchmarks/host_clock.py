"""How well another host's clock is known from round trips, beside three plain ways.

Simulated: ten minutes at four exchanges a second, the other clock fast by 100 ppm, over five pairs
of ways. Each way of reckoning is asked, halfway between exchanges, for the time of that moment.
Beside the host clock: the clock filter of NTP (RFC 5905: of the last eight exchanges the one with
the least delay, its dispersion growing by 15 ppm), a plain average of the last eight, and the way
of Lab Streaming Layer (of ten exchanges every five seconds the one with the least delay).

With --real: two network namespaces, joined by a wire with delay and jitter (`two_hosts`), the other
clock fast by 100 ppm; where pylsl is installed, LSL over the same wire, its clocks without drift.
Needs root. Run: python -m benchmarks.host_clock [--real]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.report import show, write
from benchmarks.two_hosts import HERE_IP, THERE_IP, two_hosts, why_not, within
from streaming.host_clock import Exchange, HostClock
from streaming.keys import make_client_keys, make_server_keys

S, MS = 1_000_000_000, 1_000_000
SECONDS, PERIOD_NS, BEGIN_NS, DRIFT = 600, S // 4, 5_000 * S, 1e-4
ZERO_NS = -70_000 * S
REAL_S = 20
Random = np.random.Generator
Delay = Callable[[Random], float]
PATHS: dict[str, tuple[Delay, Delay]] = {
    "LAN: 0.1 ms + exponential 0.1": (lambda r: 0.1 + r.exponential(0.1),) * 2,
    "3 ms + 0..4": (lambda r: 3 + r.uniform(0, 4),) * 2,
    "radio: 1 ms + exponential 10": (lambda r: 1 + r.exponential(10),) * 2,
    "normal: 20 ms, deviation 3": (lambda r: abs(20 + r.normal(0, 3)),) * 2,
    "unequal: 3 there, 13 back, + 0..4": (
        lambda r: 3 + r.uniform(0, 4),
        lambda r: 13 + r.uniform(0, 4),
    ),
}


class Way(Protocol):
    """A way of reckoning: it takes exchanges, and dates."""

    def take(self, exchange: Exchange) -> None:
        """One more exchange."""
        ...

    def at(self, host_ns: int) -> tuple[int, int | None]:
        """Session time, and by how much it may be off, where that is said."""
        ...


class Hosts:
    """`HostClock`."""

    def __init__(self) -> None:
        self._clock = HostClock()

    def take(self, exchange: Exchange) -> None:
        self._clock.observe(exchange)

    def at(self, host_ns: int) -> tuple[int, int | None]:
        return self._clock.at(host_ns) or (0, 0)


def ahead_ns(exchange: Exchange) -> int:
    """Session time less the other host's, were both ways the same."""
    asked, received, replied, heard = exchange
    return (asked - received + heard - replied) // 2


class LeastOfEight:
    """NTP's clock filter, with the root distance of RFC 5905 of a server that is itself exact."""

    def __init__(self) -> None:
        self._last: deque[Exchange] = deque(maxlen=8)

    def take(self, exchange: Exchange) -> None:
        self._last.append(exchange)

    def at(self, host_ns: int) -> tuple[int, int | None]:
        best = min(self._last, key=lambda exchange: exchange.delay_ns)
        age_ns = abs(host_ns - best.replied_ns)
        return host_ns + ahead_ns(best), best.delay_ns // 2 + age_ns * 15 // 1_000_000


class Average:
    """The mean of the last eight."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=8)

    def take(self, exchange: Exchange) -> None:
        self._last.append(ahead_ns(exchange))

    def at(self, host_ns: int) -> tuple[int, int | None]:
        return host_ns + sum(self._last) // len(self._last), None


class Bursts:
    """LSL's way: the best of a burst, until the next."""

    def __init__(self) -> None:
        self._burst: list[Exchange] = []
        self._best: Exchange | None = None
        self._from_ns = 0

    def take(self, exchange: Exchange) -> None:
        if exchange.asked_ns >= self._from_ns:
            self._burst.append(exchange)
        if len(self._burst) == 10 or self._best is None:
            self._best = min(self._burst, key=lambda exchange: exchange.delay_ns)
        if len(self._burst) == 10:
            self._burst, self._from_ns = [], exchange.asked_ns + 5 * S

    def at(self, host_ns: int) -> tuple[int, int | None]:
        assert self._best is not None
        return host_ns + ahead_ns(self._best), self._best.delay_ns


WAYS: dict[str, type[Way]] = {
    "host clock": Hosts,
    "NTP clock filter": LeastOfEight,
    "average of 8": Average,
    "bursts (LSL)": Bursts,
}


def shown(session_ns: float) -> int:
    """What the other host's clock shows."""
    return ZERO_NS + int((session_ns - BEGIN_NS) * (1 + DRIFT))


def exchanges(there: Delay, back: Delay, seed: int) -> list[Exchange]:
    """Eight exchanges 50 ms apart, then one every quarter of a second."""
    random, now_ns, made = np.random.default_rng(seed), BEGIN_NS, []
    while now_ns < BEGIN_NS + SECONDS * S:
        received = now_ns + int(there(random) * MS)
        heard = received + 50_000 + int(back(random) * MS)
        made.append(Exchange(now_ns, shown(received), shown(received + 50_000), heard))
        now_ns = heard + (50 * MS if len(made) < 8 else PERIOD_NS)
    return made


def measure(path: str, name: str, made: list[Exchange]) -> dict[str, object]:
    way, took_s = WAYS[name](), 0.0
    at_s, errors, unsure = [], [], []
    for exchange, later in zip(made, [*made[1:], made[-1]], strict=True):
        began = time.perf_counter()
        way.take(exchange)
        took_s += time.perf_counter() - began
        moment_ns = (exchange.heard_ns + max(later.asked_ns, exchange.heard_ns)) // 2
        t_ns, uncertainty_ns = way.at(shown(moment_ns))
        at_s.append((moment_ns - BEGIN_NS) / S)
        errors.append(abs(t_ns - moment_ns))
        unsure.append(np.nan if uncertainty_ns is None else uncertainty_ns)
    return {
        "ways": path,
        "reckoned by": name,
        **figures(np.array(at_s), np.array(errors), np.array(unsure)),
        "us an exchange": took_s / len(made) * 1e6,
    }


def figures(at_s: Any, errors_ns: Any, unsure_ns: Any) -> dict[str, object]:
    """Errors in ms, how often the truth was within what was said, and when 1 ms was kept to."""
    bad = np.flatnonzero(errors_ns > MS)
    said = bool(np.isfinite(unsure_ns).all())
    kept = "never" if len(bad) and bad[-1] > len(at_s) * 0.9 else at_s[bad[-1]] if len(bad) else 0.0
    return {
        "p50 ms": float(np.median(errors_ns) / MS),
        "p99 ms": float(np.percentile(errors_ns, 99) / MS),
        "said, ms": float(np.median(unsure_ns) / MS) if said else "-",
        # Host clocks tick in whole nanoseconds.
        "covered": f"{(errors_ns <= unsure_ns + 2).mean():.2%}" if said else "-",
        "under 1 ms after s": kept,
    }


def real(name: str, there_ms: float, back_ms: float) -> list[dict[str, object]]:
    """The same between two namespaces; the ends are `host_clock_ends`."""
    with tempfile.TemporaryDirectory() as folder, two_hosts(there_ms, back_ms, 4) as (here, there):
        make_server_keys(Path(folder, "server"))
        make_client_keys(Path(folder, "server"), Path(folder, "client"), "here")
        Path(folder, "lsl.cfg").write_text(f"[lab]\nKnownPeers = {{{THERE_IP}, {HERE_IP}}}\n")
        script = [sys.executable, "-m", "benchmarks.host_clock_ends"]
        address = f"tcp://{THERE_IP}:7201"
        command = within(there, *script, "there", address, f"{folder}/server", f"{folder}/lsl.cfg")
        far = subprocess.Popen(command)
        try:
            time.sleep(2)
            command = within(
                here, *script, "here", address, f"{folder}/client", f"{folder}/lsl.cfg"
            )
            done = subprocess.run([*command, str(REAL_S)], check=True, stdout=subprocess.PIPE)
        finally:
            far.kill()
            far.wait()
    rows = []
    for label, found in json.loads(done.stdout.splitlines()[-1]).items():
        at_s, errors, unsure = (np.array(column, float) for column in zip(*found, strict=True))
        rows.append({"ways": name, "reckoned by": label, **figures(at_s, errors, unsure)})
    return rows


def main() -> None:
    rows = []
    for seed, (path, (there, back)) in enumerate(PATHS.items()):
        made = exchanges(there, back, seed)
        rows += [measure(path, name, made) for name in WAYS]
    show("Ten minutes, 100 ppm: error of another host's time", rows)
    found: dict[str, Any] = {"rows": rows}
    if "--real" in sys.argv:
        if reason := why_not():
            raise SystemExit(f"benchmarks.host_clock: {reason}")
        found["real"] = real("3 ms + 0..4", 3, 3) + real("3 there, 13 back, + 0..4", 3, 13)
        show(f"Two namespaces, {REAL_S} s", found["real"])
    write("host_clock", found)


if __name__ == "__main__":
    main()
