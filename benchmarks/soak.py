"""Does memory stay flat while sources come and go? One process, all kinds of source, half an hour.

A clip with sound and captions that repeats without end, a generated scene, and every live source of
`benchmarks.live_sources`, each of which is killed and started again about once a minute. What
counts is the growth of the process's anonymous memory (RssAnon) between the end of the warm-up and
the end of the run, fitted by a line through all samples so that one noisy sample decides nothing.
Pages of libraries do not count: they come and go with what other processes share. At the end every
packet must be in an account, and every window must have come.

`python -m benchmarks.soak [--minutes 30]`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import psutil

from actors.sinks import open_sinks
from benchmarks.live_sources import Stand, stands
from benchmarks.report import show, write
from benchmarks.scene import make_clip, repeat
from benchmarks.source_loss import running, unaccounted
from streaming.results import Health, Result
from streaming.settings import AttuneSettings, OutputSettings, StreamSettings
from streaming.source_settings import MediaSettings, TextSettings
from streaming.wire import decode

WARM_UP_S = 300
SCENE_S = 20
EVERY_S = 2.0
AWAY_S, BETWEEN_S = 3.0, 9.0
KEPT_S = 60.0  # of the replay ring, so that it is full when the warm-up is over
LIMIT_MB = 2.0


class Tally:
    """A sink that counts, and keeps nothing."""

    live = True

    def __init__(self) -> None:
        self.results, self.missing = 0, 0
        self.health: Counter[str] = Counter()
        self._next: dict[str, int] = {}

    def send(self, topic: bytes, payload: bytes) -> None:
        """Count one message, and the windows left out before it."""
        match decode(topic, payload):
            case Result(stream=stream, index=index):
                self.results += 1
                self.missing += index - self._next.get(stream, index)
                self._next[stream] = index + 1
            case Health(kind=kind):
                self.health[str(kind)] += 1
            case _:
                pass

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to do."""


def main() -> int:
    """Run, sample, print."""
    minutes = _parsed().minutes
    tally, losses = Tally(), 0
    with tempfile.TemporaryDirectory(prefix="attune-soak-") as name:
        clip = _endless_clip(Path(name), minutes)
        output = OutputSettings(publish="tcp://127.0.0.1:*", replay_s=KEPT_S)
        sinks = [tally, *open_sinks(AttuneSettings(output=output))]
        kinds = stands(Path(name))
        stop, samples = threading.Event(), list[tuple[float, float]]()
        with running(kinds, sinks, minutes * 60, (clip,)) as report:
            sampler = threading.Thread(target=_sample, args=(stop, samples))
            sampler.start()
            for _ in _losses(kinds, minutes * 60):
                losses += 1
            stop.set()
            sampler.join()
    row = {
        "minutes": minutes,
        "streams": len(report().streams),
        "losses": losses,
        **growth(np.array(samples)),
        "results": tally.results,
        "windows missing": tally.missing,
        "packets unaccounted": unaccounted(report()),
        "load": round(psutil.getloadavg()[2], 1),
    }
    show("memory while sources come and go", [row])
    print("health:", dict(tally.health))
    write("soak", row | {"health": dict(tally.health), "samples": samples})
    return int(row["growth MB"] > LIMIT_MB or tally.missing > 0 or row["packets unaccounted"] > 0)


def growth(samples: np.ndarray) -> dict[str, float]:
    """Of samples (seconds, MB) after the warm-up: memory at both ends, and the line's rise."""
    steady = samples[samples[:, 0] >= min(WARM_UP_S, samples[-1, 0] / 2)]
    slope, _ = np.polyfit(steady[:, 0], steady[:, 1], 1)
    return {
        "at start MB": round(float(steady[:10, 1].mean()), 1),
        "at end MB": round(float(steady[-10:, 1].mean()), 1),
        "growth MB": round(float(slope * (steady[-1, 0] - steady[0, 0])), 2),
    }


def anonymous_mb() -> float:
    """Memory of this process that no file backs, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def _losses(kinds: dict[str, Stand], seconds: float) -> Iterator[None]:
    """Kill and start one after another until the time is over."""
    until_s = time.monotonic() + seconds
    for stand in cycle(kinds.values()):
        if time.monotonic() > until_s:
            return
        stand.kill()
        time.sleep(AWAY_S)
        stand.start()
        yield
        time.sleep(BETWEEN_S)


def _sample(stop: threading.Event, samples: list[tuple[float, float]]) -> None:
    began_s = time.monotonic()
    while not stop.wait(EVERY_S):
        samples.append((time.monotonic() - began_s, anonymous_mb()))


def _endless_clip(folder: Path, minutes: float) -> StreamSettings:
    scene, words = make_clip(folder, SCENE_S)
    clip = repeat(scene, int(minutes * 60 / SCENE_S) + 10)
    sources = (MediaSettings(url=str(clip)), TextSettings(path=str(words)))
    return StreamSettings(name="clip", sources=sources)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Half an hour of sources that come and go.")
    parser.add_argument("--minutes", type=float, default=30.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
