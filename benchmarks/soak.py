"""Does memory stay flat? One stream in real time for ten minutes after warm-up, inline and whole.

The scene repeats by concatenation, so that nothing in the input changes over time. What counts is
the growth of the process's anonymous memory (RssAnon) between the end of the warm-up and the end of
the run, fitted by a line through all samples so that one noisy sample decides nothing. Pages of
libraries do not count: they come and go with what other processes share.

`python -m benchmarks.soak [SECONDS]`
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from actors.inline import InlinePipeline
from actors.warmup import load_analyser, warm_aligner
from benchmarks.report import show, write
from benchmarks.scene import make_clip, repeat
from streaming.settings import (
    AttuneSettings,
    MediaSettings,
    OutputSettings,
    PipelineSettings,
    StreamSettings,
    TextSettings,
)

WARM_UP_S = 60
SCENE_S = 20
EVERY_S = 2.0
LIMIT_MB = 5.0


def main() -> None:
    """Run, sample, print."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory() as folder:
        scene, words = make_clip(Path(folder), SCENE_S)
        clip = repeat(scene, -(-(WARM_UP_S + seconds) // SCENE_S))
        settings = AttuneSettings(
            streams=(
                StreamSettings(
                    sources=(MediaSettings(url=str(clip)), TextSettings(path=str(words)))
                ),
            ),
            output=OutputSettings(publish="tcp://127.0.0.1:*"),
            pipeline=PipelineSettings(runtime="inline"),
        )
        samples = watch_memory(settings)
    steady = samples[samples[:, 0] >= WARM_UP_S]
    slope, _ = np.polyfit(steady[:, 0], steady[:, 1], 1)
    growth = float(slope * (steady[-1, 0] - steady[0, 0]))
    row = {
        "seconds": round(float(steady[-1, 0] - steady[0, 0])),
        "at start MB": round(float(steady[:10, 1].mean()), 1),
        "at end MB": round(float(steady[-10:, 1].mean()), 1),
        "growth MB (fitted)": round(growth, 2),
        "within 5 MB": growth < LIMIT_MB,
    }
    show("memory over a steady run", [row])
    write("soak", row)


def watch_memory(settings: AttuneSettings) -> np.ndarray:
    """Samples (seconds, MB) of this process's own memory over the run."""
    from actors.sinks import open_sinks

    warm_aligner()
    pipeline = InlinePipeline(settings, load_analyser(settings.model), open_sinks(settings))
    done = threading.Event()
    samples: list[tuple[float, float]] = []

    def sample() -> None:
        at = 0.0
        while not done.wait(EVERY_S):
            at += EVERY_S
            samples.append((at, anonymous_mb()))

    sampler = threading.Thread(target=sample)
    sampler.start()
    pipeline.run(threading.Event())
    done.set()
    sampler.join()
    return np.array(samples)


def anonymous_mb() -> float:
    """Memory of this process that no file backs, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
