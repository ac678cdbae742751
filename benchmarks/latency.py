"""How long after a window's end its result is out, in real time, and how much of that is the model.

One 640x360, 30 fps stream with sound and words, on Ray and inline. The named alternative is the
model alone on the same windows (`model ms`): what is left is the price of the pipeline.

`python -m benchmarks.latency [SECONDS]`
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from actors.inline import InlinePipeline
from actors.ray_pipeline import RayPipeline
from actors.report import Report
from actors.warmup import load_analyser, warm_aligner
from benchmarks.report import show, write
from benchmarks.scene import make_clip
from streaming.settings import AttuneSettings, OutputSettings, PipelineSettings, StreamSettings
from streaming.source_settings import MediaSettings, TextSettings


def main() -> None:
    """Print and keep the percentiles of both runtimes."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder:
        clip, words = make_clip(Path(folder), seconds)
        sources = (MediaSettings(url=str(clip)), TextSettings(path=str(words)))
        settings = AttuneSettings(
            streams=(StreamSettings(sources=sources),), output=OutputSettings(publish="")
        )
        rows = [_row("ray", on_ray(settings)), _row("inline", inline(settings))]
    show(f"latency beyond the window's end, {seconds} s in real time", rows)
    write("latency", {"seconds": seconds, "rows": rows, "aim": {"p50 ms": 80, "p99 ms": 250}})


def on_ray(settings: AttuneSettings) -> Report:
    """The stream on Ray actors."""
    with RayPipeline(settings) as pipeline:
        pipeline.start()
        return pipeline.run(threading.Event())


def inline(settings: AttuneSettings) -> Report:
    """The stream in this process."""
    settings = msgspec.structs.replace(settings, pipeline=PipelineSettings(runtime="inline"))
    warm_aligner()
    return InlinePipeline(settings, load_analyser(settings.model), []).run(threading.Event())


def _row(runtime: str, report: Report) -> dict[str, Any]:
    (totals,) = report.streams.values()
    latency, model = report.latency_ms, report.model_ms
    p50, p95, p99 = np.percentile(latency, (50, 95, 99))
    return {
        "runtime": runtime,
        "windows": totals.windows,
        "p50 ms": round(float(p50), 1),
        "p95 ms": round(float(p95), 1),
        "p99 ms": round(float(p99), 1),
        "model p50 ms": round(float(np.median(model)), 1),
        "model share": round(float(model.sum() / latency.sum()), 2),
        "p50 / model p50": round(float(p50 / np.median(model)), 1),
        "CPU % of a core": round(100 * report.cpu_share, 1),
    }


if __name__ == "__main__":
    main()
