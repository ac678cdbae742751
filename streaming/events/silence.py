"""Silence: there is sound to hear, and nobody speaks and nothing is loud in it.

Speech frames (32 ms) and level frames (50 ms) are laid over one another by time; a level frame is
judged once the speech frames over its span are known. Invariant: a microphone that is gone is
never silent: a level of None ends the event where the sound ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from streaming.clock import NS_PER_MS
from streaming.events.base import TRACK_LAG_NS, Evidence, Scribe
from streaming.events.loudness import QUIETEST_DBFS
from streaming.events.runs import Change, Run, RunTracker, Verdict
from streaming.events.tracks import FrameReader
from streaming.results import Event, Phase, Prediction
from streaming.settings import EventSettings

HYSTERESIS_DB = 6.0
# A click or a cough shorter than this does not end a silence.
BREAK_NS = 250 * NS_PER_MS


class Silence:
    """`score`: how long it has been silent, in seconds."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._speech_on, self._floor_dbfs = settings.speech_on, settings.loudness_floor_dbfs
        min_ns = round(settings.silence_min_ms * NS_PER_MS)
        self._runs = RunTracker(min_ns=min_ns, hang_ns=BREAK_NS)
        self._speech_frames: FrameReader[float] = FrameReader()
        self._level_frames: FrameReader[float | None] = FrameReader()
        self._spoken: deque[tuple[int, int]] = deque()
        self._levels: deque[tuple[int, int, float | None]] = deque()
        self._scribe = Scribe(stream, "silence")

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the new frames of both tracks."""
        self._take(prediction)
        known_ns = max(self._speech_frames.until_ns, prediction.result.end_ns - TRACK_LAG_NS)
        lapsed = self._runs.lapse(prediction.result.end_ns - TRACK_LAG_NS)
        return [*self._write(self._judged(known_ns)), *self._write(lapsed)]

    def finish(self, t_ns: int) -> list[Event]:
        """Judge what still waits for speech frames, and end the silence that is open."""
        known_ns = max(t_ns, self._level_frames.until_ns)
        last = (self._judged(known_ns), self._runs.lapse(t_ns), self._runs.finish())
        return [event for changes in last for event in self._write(changes)]

    def _take(self, prediction: Prediction) -> None:
        speech, level = prediction.speech, prediction.loudness
        for start_ns, end_ns, p in self._speech_frames.read(
            speech.start_ns, speech.step_ns, speech.probability
        ):
            if p >= self._speech_on:
                self._spoken.append((start_ns, end_ns))
        self._levels.extend(self._level_frames.read(level.start_ns, level.step_ns, level.dbfs))

    def _judged(self, known_ns: int) -> Iterator[Change]:
        while self._levels and self._levels[0][1] <= known_ns:
            start_ns, end_ns, dbfs = self._levels.popleft()
            verdict = self._judge(start_ns, end_ns, dbfs)
            yield from self._runs.feed(start_ns, end_ns, verdict, dbfs or 0.0)

    def _judge(self, start_ns: int, end_ns: int, dbfs: float | None) -> Verdict:
        while self._spoken and self._spoken[0][1] <= start_ns:
            self._spoken.popleft()
        if dbfs is None:
            return Verdict.GONE
        spoken = bool(self._spoken) and self._spoken[0][0] < end_ns
        if spoken or dbfs >= self._floor_dbfs + HYSTERESIS_DB:
            return Verdict.OFF
        return Verdict.HOLD if dbfs >= self._floor_dbfs else Verdict.ON

    def _write(self, changes: Iterable[Change]) -> Iterator[Event]:
        for change in changes:
            run, evidence = change.run, _evidence(change.run)
            lasted_s = (run.end_ns - run.start_ns) / 1e9
            if change.phase is Phase.START:
                yield self._scribe.start(run.start_ns, "silence", lasted_s, evidence)
            elif change.phase is Phase.UPDATE:
                yield self._scribe.update(lasted_s, evidence)
            else:
                yield self._scribe.end(run.end_ns, lasted_s, evidence, change.ended_by)


def _evidence(run: Run) -> Evidence:
    return {
        "mean_dbfs": max(run.mean, QUIETEST_DBFS),
        "peak_dbfs": max(run.peak, QUIETEST_DBFS),
    }
