"""`attune sync-test`: flashes and beeps with a known offset through the whole live path.

Invariant: exit code 0 means that the offset was found, and that the truth lay within the stated
uncertainty of every result that had one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from attune.run import run_pipeline
from attune.sync_chart import chart, require_picture, save_picture
from streaming.clock import NS_PER_S
from streaming.results import Message, Result
from streaming.settings import (
    AttuneSettings,
    OutputSettings,
    PipelineSettings,
    StreamSettings,
    SyncSettings,
    VisionSettings,
)
from streaming.source_settings import SyntheticSettings

NEAR_MS = 10.0
FIRST_FLASH_S = 1.0


class SyncTest(msgspec.Struct, frozen=True, kw_only=True):
    """What is played: sound so late, by a clock so fast, beside so many pictures a second."""

    shift_ms: float
    drift_ppm: float
    fps: float
    seconds: float
    correct: bool
    inline: bool

    def truth_ms(self, t_s: float) -> float:
        """How late the sound is at `t_s`, before it is corrected."""
        return self.shift_ms + t_s * self.drift_ppm * 1e-3


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One result's offset, before correction, beside the truth."""

    t_s: float
    offset_ms: float
    uncertainty_ms: float
    error_ms: float


def run_sync_test(test: SyncTest, picture: Path | None) -> int:
    """Play, measure, show; the exit code."""
    if picture is not None:
        require_picture(picture)
    messages: list[Message] = []
    code = run_pipeline(_settings(test), asked_address=False, on_message=messages.append)
    found = readings(messages, test)
    console = Console(stderr=True)
    console.print(_table(found, test))
    if not found:
        console.print("the offset was not found; play longer (--seconds 20) or at more --fps")
        return code or 1
    console.print(chart(found), highlight=False)
    if picture is not None:
        save_picture(picture, found)
        console.print(f"picture written to {picture}", highlight=False, markup=False)
    return code or int(any(_outside(r) for r in found))


def readings(messages: Sequence[Message], test: SyncTest) -> list[Reading]:
    """Of all results that had an offset."""
    found = []
    for m in messages:
        if not isinstance(m, Result) or m.sync is None or m.sync.av_offset_ms is None:
            continue
        t_s = m.end_ns / NS_PER_S
        offset_ms = m.sync.av_offset_ms + m.sync.corrected_ms
        found.append(
            Reading(
                t_s=t_s,
                offset_ms=offset_ms,
                uncertainty_ms=m.sync.uncertainty_ms or 0.0,
                error_ms=offset_ms - test.truth_ms(t_s),
            )
        )
    return found


def _settings(test: SyncTest) -> AttuneSettings:
    card = SyntheticSettings(
        scene="sync",
        duration_s=test.seconds,
        audio_offset_ms=test.shift_ms,
        drift_ppm=test.drift_ppm,
    )
    return AttuneSettings(
        streams=(StreamSettings(name="card", sources=(card,)),),
        vision=VisionSettings(light_hz=test.fps),
        sync=SyncSettings(correct=test.correct),
        pipeline=PipelineSettings(runtime="inline" if test.inline else "ray", ingest_workers=1),
        output=OutputSettings(publish=""),
    )


def _outside(reading: Reading) -> bool:
    return abs(reading.error_ms) > reading.uncertainty_ms


def _table(found: Sequence[Reading], test: SyncTest) -> Table:
    table = Table(title="Sound beside picture", title_justify="left")
    for heading in ("what", "played", "measured"):
        table.add_column(heading)
    errors = np.abs([r.error_ms for r in found])
    last = found[-1] if found else None
    table.add_row(
        "offset",
        f"{test.shift_ms:+.1f} ms",
        f"{last.offset_ms:+.1f} ± {last.uncertainty_ms:.1f} ms" if last else "not found",
    )
    if not len(found):
        return table
    p50, p99 = np.percentile(errors, (50, 99))
    table.add_row("error, p50 / p99", "", f"{p50:.1f} / {p99:.1f} ms ({len(found)} results)")
    outside = sum(map(_outside, found))
    table.add_row("truth outside the uncertainty", "", f"{outside} of {len(found)} results")
    table.add_row("drift", f"{test.drift_ppm:+.0f} ppm", _drift(found))
    table.add_row("first answer", "", f"{found[0].t_s - FIRST_FLASH_S:.1f} s after the first flash")
    table.add_row(f"within {NEAR_MS:.0f} ms for good", "", _converged(found))
    return table


def _drift(found: Sequence[Reading]) -> str:
    """Least squares, and the slopes that the uncertainties of all pairs of readings allow."""
    if len(found) < 3:
        return "too few results"
    low, high = drift_bounds_ppm(found)
    slope = np.polyfit([r.t_s for r in found], [r.offset_ms for r in found], 1)[0]
    return f"{1000 * slope:+.0f} ppm, for certain {low:+.0f} to {high:+.0f}"


def drift_bounds_ppm(found: Sequence[Reading]) -> tuple[float, float]:
    """No straight line outside these lies within all uncertainties."""
    t_s = np.array([r.t_s for r in found])
    low, high = (np.array([r.offset_ms + s * r.uncertainty_ms for r in found]) for s in (-1, 1))
    before, after = np.triu_indices(len(found), 1)
    apart_s = t_s[after] - t_s[before]
    least = ((low[after] - high[before]) / apart_s).max()
    most = ((high[after] - low[before]) / apart_s).min()
    return 1000 * float(least), 1000 * float(most)


def _converged(found: Sequence[Reading]) -> str:
    far = [i for i, r in enumerate(found) if abs(r.error_ms) > NEAR_MS]
    first = far[-1] + 1 if far else 0
    if first == len(found):
        return "not reached"
    return f"{found[first].t_s - FIRST_FLASH_S:.1f} s after the first flash"
