"""What one hop of one stream costs the analyser, by part: 5 faces, 0.5 s of speech, 8 words.

The yardstick, in the same run and on the same hops, is the same network in eager PyTorch; the live
pipeline runs it in ONNX Runtime. One thread. Times are CPU time of the thread, so that other work
on the machine counts less; p50 of the wall clock stands beside it.

`python -m benchmarks.model [HOPS]`
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import show, write
from models import features, weights
from models.analyser import Analyser, Runtime
from models.threads import limit_threads
from models.types import Hop, Text, WindowInput

HOP_NS, HOPS_OF_A_WINDOW, FACES = 500_000_000, 4, 5
SAID = "I really do not think that this works"  # eight words
WARM_UP = 10
RUNTIMES: tuple[Runtime, ...] = ("int8", "onnx", "torch")
PARTS = ("VAD", "log-mel", "faces", "trunk", "voice", "sounds", "text", "context", "window")

Spent = dict[str, list[float]]


def main() -> None:
    """Print and write the table."""
    limit_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rows, figures = [], {}
    for runtime in RUNTIMES:
        started = time.perf_counter()
        analyser = Analyser.load(device="cpu", runtime=runtime)
        load_s = time.perf_counter() - started
        spent = measure(analyser, count)
        figures[runtime] = summary(spent) | {"load_s": load_s}
        rows += [{"runtime": runtime, **row} for row in _rows(figures[runtime])]
    show(f"one hop of one stream, {count} hops, one thread, ms", rows)
    size = sum(p.stat().st_size for p in weights.SHIPPED.rglob("*") if p.is_file())
    loaded = ", ".join(f"{name} {figure['load_s']:.2f} s" for name, figure in figures.items())
    print(f"weights and graphs: {size / 1e6:.2f} MB; to load: {loaded}")
    write("model", {**figures, "hops": count, "weights_bytes": size})


def hops(count: int) -> list[Hop]:
    """A stream that always shows five faces, always speaks, and writes eight words in every hop."""
    rng = np.random.default_rng(0)
    made = []
    for index in range(count):
        start = index * HOP_NS
        text = Text(start_ns=start, end_ns=start + HOP_NS, text=SAID)
        made.append(
            Hop(
                start_ns=start,
                end_ns=start + HOP_NS,
                audio=voice(index),
                audio_coverage=1.0,
                faces=rng.integers(0, 256, (FACES, 48, 48), dtype=np.uint8),
                texts=(text,),
            )
        )
    return made


def voice(index: int) -> np.ndarray:
    """Half a second of a pulse train through two formants, which the VAD takes for speech."""
    t = np.arange(8000) / 16_000 + index * 0.5
    pitch = 130 + 25 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    formants = 500 + 250 * np.sin(2 * np.pi * 1.8 * t), 1500 + 500 * np.sin(2 * np.pi * 1.3 * t)
    sound = np.zeros_like(t)
    for k in range(1, 28):
        near = sum(np.exp(-(((k * pitch - formant) / 180) ** 2)) for formant in formants)
        sound += (near + 0.02) * np.sin(k * phase)
    return (0.12 * sound).astype(np.float32)


def measure(analyser: Analyser, count: int) -> Spent:
    """Milliseconds of each hop by part; "all" is the whole step, "wall" by the wall clock."""
    spent: Spent = {part: [] for part in (*PARTS, "all", "wall")}
    for name, stage in list(analyser.stages.items()):
        analyser.stages[name] = _timed(stage, spent[name])
    vad = analyser._vad  # there is no public seam, and none is needed but here
    vad.step = _timed(vad.step, spent["VAD"])  # type: ignore[method-assign]
    mel = features.MelState.initial()
    log_mel = _timed(features.step, spent["log-mel"])
    called: dict[str, int] = {}
    for index, hop in enumerate(hops(count + WARM_UP)):
        if index == WARM_UP:
            for times in spent.values():
                times.clear()
        first = max(0, hop.end_ns - HOPS_OF_A_WINDOW * HOP_NS)
        window = WindowInput(stream="s", start_ns=first, end_ns=hop.end_ns, new_hops=(hop,))
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        analyser.step([window])
        spent["all"].append((time.thread_time_ns() - cpu) / 1e6)
        spent["wall"].append((time.perf_counter_ns() - wall) / 1e6)
        mel, _ = log_mel(mel, hop.audio)
    called = {part: len(times) for part, times in spent.items() if times}
    assert set(called.values()) == {count}, f"a part was not run once in every hop: {called}"
    return {part: times for part, times in spent.items() if times}


def _timed(function: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def run(*inputs: Any) -> Any:
        started = time.thread_time_ns()
        out = function(*inputs)
        times.append((time.thread_time_ns() - started) / 1e6)
        return out

    return run


def summary(spent: Spent) -> dict[str, Any]:
    """p50 and p99 of each part; "encoders + fusion" is all that is learnt here: no VAD, no mel."""
    network = [part for part in PARTS[2:] if part in spent]
    together = np.sum([spent[part] for part in network], 0).tolist()
    named = {**spent, "encoders + fusion": together}
    return {
        part: {"p50": float(np.median(times)), "p99": float(np.percentile(times, 99))}
        for part, times in named.items()
    }


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"part": part, "p50 ms": figure["p50"], "p99 ms": figure["p99"]}
        for part, figure in figures.items()
        if isinstance(figure, dict)
    ]


if __name__ == "__main__":
    main()
