"""Speech: somebody speaks, from the frame probabilities of the voice activity detector.

Method: Silero's own post-processing (threshold 0.5 on, 0.15 lower off, at least 250 ms, pauses
under 100 ms bridged), made incremental. Invariant: the interval begins with the first frame over
`speech_on` and ends with the last frame not under `speech_off`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streaming.clock import NS_PER_MS
from streaming.events.base import Evidence, Scribe
from streaming.events.runs import Change, Run, RunTracker, Verdict
from streaming.events.tracks import FrameReader
from streaming.results import Event, Phase, Prediction
from streaming.settings import EventSettings


class Speech:
    """`score`: mean probability over the speech frames."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._on, self._off = settings.speech_on, min(settings.speech_off, settings.speech_on)
        self._runs = RunTracker(
            min_ns=round(settings.speech_min_ms * NS_PER_MS),
            hang_ns=round(settings.speech_hang_ms * NS_PER_MS),
        )
        self._frames: FrameReader[float] = FrameReader()
        self._scribe = Scribe(stream, "speech")

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the new frames."""
        return list(self._write(self._changes(prediction)))

    def finish(self, t_ns: int) -> list[Event]:
        """End the utterance that is open."""
        return [*self._write(self._runs.lapse(t_ns)), *self._write(self._runs.finish())]

    def _changes(self, prediction: Prediction) -> Iterator[Change]:
        track = prediction.speech
        for start_ns, end_ns, p in self._frames.read(
            track.start_ns, track.step_ns, track.probability
        ):
            yield from self._runs.feed(start_ns, end_ns, self._judge(p), p)
        yield from self._runs.lapse(prediction.result.end_ns)

    def _judge(self, probability: float) -> Verdict:
        if probability >= self._on:
            return Verdict.ON
        return Verdict.HOLD if probability >= self._off else Verdict.OFF

    def _write(self, changes: Iterable[Change]) -> Iterator[Event]:
        for change in changes:
            run, evidence = change.run, _evidence(change.run)
            if change.phase is Phase.START:
                yield self._scribe.start(run.start_ns, "speech", run.mean, evidence)
            elif change.phase is Phase.UPDATE:
                yield self._scribe.update(run.mean, evidence)
            else:
                yield self._scribe.end(run.end_ns, run.mean, evidence, change.ended_by)


def _evidence(run: Run) -> Evidence:
    return {"mean_probability": run.mean, "peak_probability": run.peak, "frames": run.frames}
