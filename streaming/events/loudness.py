"""Loudness spike: the level leaps over a background that adapts slowly.

Method: the background is an exponential mean of the level in dB that rises with a time constant
of 2 s and falls with one of 10 s, so that pauses between words do not make every word a spike,
and a sound that stays loud becomes the background. Invariant: the background a frame is held
against is made of earlier frames only, and never lies under the floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.events.base import Evidence, Scribe
from streaming.events.runs import Change, Run, RunTracker, Verdict
from streaming.events.tracks import FrameReader
from streaming.results import Event, Phase, Prediction
from streaming.settings import EventSettings

RISE_S, FALL_S = 2.0, 10.0
WARM_UP_NS = NS_PER_S
HANG_NS = 250 * NS_PER_MS
QUIETEST_DBFS = -120.0


class LoudnessSpike:
    """`score`: the greatest rise over the background, in dB."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._rise_db, self._floor_dbfs = settings.loudness_spike_db, settings.loudness_floor_dbfs
        self._runs = RunTracker(min_ns=0, hang_ns=HANG_NS)
        self._frames: FrameReader[float | None] = FrameReader()
        self._scribe = Scribe(stream, "loudness_spike")
        self._background_dbfs: float | None = None
        self._heard_ns = 0
        self._open_background_dbfs = 0.0

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the new frames."""
        return list(self._write(self._changes(prediction)))

    def finish(self, t_ns: int) -> list[Event]:
        """End the spike that is open."""
        return [*self._write(self._runs.lapse(t_ns)), *self._write(self._runs.finish())]

    def _changes(self, prediction: Prediction) -> Iterator[Change]:
        track = prediction.loudness
        for start_ns, end_ns, dbfs in self._frames.read(track.start_ns, track.step_ns, track.dbfs):
            if dbfs is None:
                yield from self._runs.feed(start_ns, end_ns, Verdict.GONE)
                continue
            level = max(dbfs, QUIETEST_DBFS)
            rise_db = level - self._reference(level)
            yield from self._runs.feed(start_ns, end_ns, self._judge(level, rise_db), rise_db)
            self._adapt(level, end_ns - start_ns)
        yield from self._runs.lapse(prediction.result.end_ns)

    def _reference(self, level: float) -> float:
        background = level if self._background_dbfs is None else self._background_dbfs
        return max(background, self._floor_dbfs)

    def _judge(self, level: float, rise_db: float) -> Verdict:
        if self._heard_ns < WARM_UP_NS or level < self._floor_dbfs:
            return Verdict.OFF
        if rise_db >= self._rise_db:
            return Verdict.ON
        return Verdict.HOLD if rise_db >= self._rise_db / 2 else Verdict.OFF

    def _adapt(self, level: float, duration_ns: int) -> None:
        background = level if self._background_dbfs is None else self._background_dbfs
        constant_s = RISE_S if level > background else FALL_S
        keep = math.exp(-duration_ns / NS_PER_S / constant_s)
        self._background_dbfs = keep * background + (1.0 - keep) * level
        self._heard_ns += duration_ns

    def _write(self, changes: Iterable[Change]) -> Iterator[Event]:
        for change in changes:
            run = change.run
            if change.phase is Phase.START:
                self._open_background_dbfs = self._reference(QUIETEST_DBFS)
                yield self._scribe.start(run.start_ns, "spike", run.peak, self._evidence(run))
            elif change.phase is Phase.END:
                evidence = self._evidence(run)
                yield self._scribe.end(run.end_ns, run.peak, evidence, change.ended_by)

    def _evidence(self, run: Run) -> Evidence:
        return {"rise_db": run.peak, "background_dbfs": self._open_background_dbfs}
