"""What aligning costs: one hop of one live stream, and a whole recording at once.

Live: push of one hop's batches (30 frames/s, 50 sound chunks/s, sparse text) and the poll that
closes a window, everything included. Recording: ten minutes of the same with jitter and losses,
against pandas (merge_asof and groupby) and vectorised NumPy (searchsorted) doing the same work;
their answers are compared before anything is timed. Run: python -m benchmarks.aligner
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import write
from streaming.aligner import Aligner
from streaming.aligner_arrays import align_arrays
from streaming.packets import (
    DURATION_NS,
    SEQ,
    T_NS,
    Int64Array,
    Modality,
    PacketBatch,
    TextMessage,
)
from streaming.settings import WindowSettings
from streaming.windows import ModalitySpec, WindowSpec

NS_PER_S = 1_000_000_000
MODALITIES = (Modality.VIDEO, Modality.AUDIO, Modality.TEXT)
RATES_HZ = (30.0, 50.0, 0.5)
MINUTES = 10
LIVE_RUNS, RECORDING_RUNS = 15, 150
PANDAS_EVERY = 15  # it takes a hundred times as long
SPEC = WindowSettings().spec(MODALITIES, paced=False)

Answer = list[tuple[Int64Array, Int64Array, Any, Int64Array]]  # first, last, coverage, grid


# ---------------------------------------------------------------- the packets


def recording(*, jitter: float, loss: float) -> list[Int64Array]:
    """One header for each modality: evenly spaced, moved by up to `jitter` of the spacing."""
    random = np.random.default_rng(7)
    headers = []
    for rate_hz in RATES_HZ:
        n, spacing_ns = int(MINUTES * 60 * rate_hz), round(NS_PER_S / rate_hz)
        moved = random.integers(0, max(int(jitter * spacing_ns), 1), n)
        header = np.zeros((n, 5), np.int64)
        header[:, SEQ] = np.arange(n)
        header[:, T_NS] = np.arange(n) * spacing_ns + moved
        header[:, DURATION_NS] = spacing_ns - int(jitter * spacing_ns)
        lost = np.repeat(random.random(-(-n // 20)) < loss, 20)[:n]  # twenty in a row
        headers.append(header[~lost])
    return headers


def live_batches(headers: list[Int64Array]) -> list[list[PacketBatch]]:
    """Cut on hop boundaries, as sources do."""
    word = TextMessage(text="word")
    hops = []
    for end_ns in range(SPEC.hop_ns, MINUTES * 60 * NS_PER_S, SPEC.hop_ns):
        batches = []
        for modality, header in zip(MODALITIES, headers, strict=True):
            a, b = np.searchsorted(header[:, T_NS], (end_ns - SPEC.hop_ns, end_ns))
            batches.append(
                PacketBatch(
                    stream="bench",
                    modality=modality,
                    header=header[a:b].copy(),
                    payloads=(word,) * int(b - a),
                    progress_ns=end_ns,
                )
            )
        hops.append(batches)
    return hops


# ---------------------------------------------------------------- live


def live_run(hops: list[list[PacketBatch]]) -> tuple[list[float], float]:
    """Microseconds of each hop, and processor time of the average hop."""
    aligner, took = Aligner("bench", SPEC), []
    busy = time.process_time()
    for video, audio, text in hops:
        began = time.perf_counter()
        aligner.push(video)
        aligner.push(audio)
        aligner.push(text)
        aligner.poll()
        took.append((time.perf_counter() - began) * 1e6)
    return took, (time.process_time() - busy) / len(hops) * 1e6


def live() -> dict[str, float]:
    hops = live_batches(recording(jitter=0.2, loss=0.0))
    live_run(hops)  # compiles
    runs = [live_run(hops) for _ in range(LIVE_RUNS)]
    every = np.array([took for took, _ in runs])
    return {
        "hops": len(hops),
        "median_us": float(np.median(every)),
        "median_of_best_run_us": float(np.median(every, axis=1).min()),
        "p5_us": float(np.percentile(every, 5)),
        "p99_us": float(np.percentile(every, 99)),
        "cpu_mean_us": statistics.median(cpu for _, cpu in runs),
    }


# ---------------------------------------------------------------- a recording, three ways


def by_attune(headers: list[Int64Array]) -> Answer:
    aligned = align_arrays(SPEC, headers)
    return [(m.first, m.last, m.coverage, m.left) for m in aligned.modalities]


def window_starts(headers: list[Int64Array]) -> Int64Array:
    end = max(int((h[:, T_NS] + h[:, DURATION_NS]).max()) for h in headers)
    full = (end - SPEC.length_ns) // SPEC.hop_ns + 1
    closed_end = (full - 1) * SPEC.hop_ns + SPEC.length_ns
    return np.arange(full + (end > closed_end)) * SPEC.hop_ns


def by_numpy(headers: list[Int64Array]) -> Answer:
    starts = window_starts(headers)
    return [
        numpy_modality(SPEC, s, h, starts) for s, h in zip(SPEC.modalities, headers, strict=True)
    ]


def numpy_modality(
    spec: WindowSpec, s: ModalitySpec, header: Int64Array, starts: Int64Array
) -> tuple[Int64Array, Int64Array, Any, Int64Array]:
    t, stop = header[:, T_NS].copy(), header[:, T_NS] + header[:, DURATION_NS]
    ends = starts + spec.length_ns
    first, last = np.searchsorted(stop, starts, "right"), np.searchsorted(t, ends, "left")
    if s.continuous:
        holes = np.zeros(len(t), np.int64)
        holes[1:] = t[1:] - stop[:-1]
        holes[holes <= s.max_gap_ns] = 0
        before = np.cumsum(holes)
        a, b = np.minimum(first, len(t) - 1), np.maximum(last - 1, 0)
        reach = np.where(a > 0, stop[a - 1], -(1 << 61))
        head = np.where(
            (t[a] > starts) & (t[a] - reach > s.max_gap_ns), t[a] - np.maximum(starts, reach), 0
        )
        tail = np.where(ends - stop[b] > s.max_gap_ns, ends - stop[b], 0)
        covered = spec.length_ns - head - tail - (before[b] - before[a])
        coverage = np.where(last > first, covered, 0) / spec.length_ns
    else:
        coverage = np.clip(stop.max() - starts, 0, spec.length_ns) / spec.length_ns
    if not s.grid_hz:
        return first, last, coverage, np.empty((len(starts), 0), np.int64)
    step_ns = round(NS_PER_S / s.grid_hz)
    instants = starts[:, None] + np.arange(0, spec.length_ns, step_ns)
    low, high = first[:, None], last[:, None] - 1
    after = np.searchsorted(t, instants)
    left, right = np.clip(after - 1, low, high), np.clip(after, low, high)
    to_left, to_right = np.abs(instants - t[left]), np.abs(t[right] - instants)
    best = np.where(to_left <= to_right, left, right)
    fits = (np.minimum(to_left, to_right) <= s.tolerance_ns) & (high >= low)
    return first, last, coverage, np.where(fits, best, -1)


def by_pandas(headers: list[Int64Array]) -> Answer:
    starts = window_starts(headers)
    return [
        pandas_modality(SPEC, s, h, starts) for s, h in zip(SPEC.modalities, headers, strict=True)
    ]


def pandas_modality(
    spec: WindowSpec, s: ModalitySpec, header: Int64Array, starts: Int64Array
) -> tuple[Int64Array, Int64Array, Any, Int64Array]:
    packets = pd.DataFrame({"t": header[:, T_NS], "stop": header[:, T_NS] + header[:, DURATION_NS]})
    packets["row"] = np.arange(len(packets))
    packets["reach"] = packets["stop"].shift(fill_value=-(1 << 61))
    shown = pandas_explode(spec, packets, len(starts))
    shown["start"] = shown["window"] * spec.hop_ns
    hole = shown["t"] - shown[["start", "reach"]].max(axis=1)
    wide = (shown["t"] > shown["start"]) & (shown["t"] - shown["reach"] > s.max_gap_ns)
    shown["hole"] = hole.where(wide, 0)
    table = (
        shown.groupby("window")
        .agg(first=("row", "min"), last=("row", "max"), holes=("hole", "sum"), stop=("stop", "max"))
        .reindex(np.arange(len(starts)))
    )
    if s.continuous:
        tail = starts + spec.length_ns - table["stop"]
        tail = tail.where(tail > s.max_gap_ns, 0)
        coverage = (1.0 - (table["holes"] + tail) / spec.length_ns).fillna(0.0)
    else:
        coverage = (packets["stop"].max() - pd.Series(starts)).clip(0, spec.length_ns)
        coverage = coverage / spec.length_ns
    empty = table["first"].isna()
    first = table["first"].fillna(0).astype(np.int64).to_numpy()
    last = (table["last"] + 1).where(~empty, 0).astype(np.int64).to_numpy()
    return first, last, coverage.to_numpy(), pandas_grid(spec, s, shown, starts)


def pandas_explode(spec: WindowSpec, packets: pd.DataFrame, count: int) -> pd.DataFrame:
    """One line for each packet and window that it touches."""
    low = (packets["t"] - spec.length_ns) // spec.hop_ns + 1
    high = (packets["stop"] - 1) // spec.hop_ns
    parts = []
    for shift in range(int((high - low).max()) + 1):
        window = low + shift
        fits = (window >= 0) & (window < count) & (window <= high)
        parts.append(packets[fits].assign(window=window[fits]))
    return pd.concat(parts).sort_values("t")


def pandas_grid(
    spec: WindowSpec, s: ModalitySpec, shown: pd.DataFrame, starts: Int64Array
) -> Int64Array:
    if not s.grid_hz:
        return np.empty((len(starts), 0), np.int64)
    offsets = np.arange(0, spec.length_ns, round(NS_PER_S / s.grid_hz))
    instants = pd.DataFrame(
        {
            "t": (starts[:, None] + offsets).ravel(),
            "window": np.repeat(np.arange(len(starts)), len(offsets)),
        }
    )
    met = pd.merge_asof(
        instants.sort_values("t", kind="stable"),
        shown[["t", "window", "row"]],
        on="t",
        by="window",
        direction="nearest",
        tolerance=s.tolerance_ns,
    ).sort_values(["window", "t"])
    return met["row"].fillna(-1).astype(np.int64).to_numpy().reshape(len(starts), len(offsets))


def assert_equal(name: str, mine: Answer, theirs: Answer) -> None:
    for m, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        shown, others = a[1] > a[0], b[1] > b[0]
        assert np.array_equal(shown, others), (name, m, "windows with packets")
        assert np.array_equal(a[0][shown], b[0][shown]), (name, m, "first")
        assert np.array_equal(a[1][shown], b[1][shown]), (name, m, "last")
        assert np.allclose(a[2], b[2], rtol=0, atol=1e-12), (name, m, "coverage")
        assert np.array_equal(a[3], b[3]), (name, m, "grid")


def recorded() -> dict[str, Any]:
    headers = recording(jitter=0.2, loss=0.02)
    ways: dict[str, Callable[[list[Int64Array]], Answer]] = {
        "attune": by_attune,
        "numpy": by_numpy,
        "pandas": by_pandas,
    }
    answers = {name: way(headers) for name, way in ways.items()}  # compiles and warms
    for name in ("numpy", "pandas"):
        assert_equal(name, answers["attune"], answers[name])
    took: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(RECORDING_RUNS):
        for name, way in ways.items():
            if name == "pandas" and run % PANDAS_EVERY:
                continue
            began = time.perf_counter()
            way(headers)
            took[name].append(time.perf_counter() - began)
    packets = sum(map(len, headers))
    medians = {name: statistics.median(times) for name, times in took.items()}
    return {
        "packets": packets,
        "windows": len(answers["attune"][0][0]),
        "median_ms": {name: s * 1e3 for name, s in medians.items()},
        "ns_per_packet": {name: s / packets * 1e9 for name, s in medians.items()},
        "best_ms": {name: min(times) * 1e3 for name, times in took.items()},
        "times_faster_than": {
            name: statistics.median(
                b / a for a, b in zip(took["attune"][::every], took[name], strict=True)
            )
            for name, every in (("numpy", 1), ("pandas", PANDAS_EVERY))
        },
    }


def report(hop: dict[str, float], whole: dict[str, Any]) -> None:
    print("One hop of one live stream (video 30/s, audio 50/s, text; 3 pushes, 1 poll, 1 window)")
    print(f"  median of {LIVE_RUNS} runs x {hop['hops']:.0f} hops {hop['median_us']:9.1f} us")
    print(f"  median of the quietest run       {hop['median_of_best_run_us']:9.1f} us")
    print(f"  5th / 99th percentile     {hop['p5_us']:9.1f} / {hop['p99_us']:.1f} us")
    print(f"  processor time, mean             {hop['cpu_mean_us']:9.1f} us")
    print(f"A recording of {MINUTES} min: {whole['packets']} packets, {whole['windows']} windows")
    print(f"  {'':10}{'median ms':>12}{'best ms':>10}{'ns/packet':>12}{'attune is':>16}")
    for name, ms in whole["median_ms"].items():
        ratio = whole["times_faster_than"].get(name)
        faster = f"{ratio:.1f} x faster" if ratio else ""
        best_ms, packet_ns = whole["best_ms"][name], whole["ns_per_packet"][name]
        print(f"  {name:10}{ms:12.2f}{best_ms:10.2f}{packet_ns:12.1f}{faster:>16}")
    print("  all three gave equal windows, coverage and grids")


def main() -> None:
    hop, whole = live(), recorded()
    report(hop, whole)
    write("aligner", {"live": hop, "recording": whole})


if __name__ == "__main__":
    main()
