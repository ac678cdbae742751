"""The engine: every kind of event of one stream, stepped together.

Invariant: pure. The same predictions give the same events with the same ids, whatever the time of
day, and after `finish` every event that started has ended exactly once.
"""

from __future__ import annotations

from streaming.errors import UsageError
from streaming.events.base import Kind
from streaming.events.contradiction import Contradiction
from streaming.events.face import Face
from streaming.events.loudness import LoudnessSpike
from streaming.events.shift import SentimentShift
from streaming.events.silence import Silence
from streaming.events.speech import Speech
from streaming.results import Event, Prediction
from streaming.settings import EventSettings

KINDS = (Speech, Silence, LoudnessSpike, Face, SentimentShift, Contradiction)
KIND_NAMES = ("speech", "silence", "loudness_spike", "face", "sentiment_shift", "contradiction")


class EventEngine:
    """Predictions of one stream in, in window order; events out. `epoch` and `seq` are left 0."""

    def __init__(self, stream: str, settings: EventSettings | None = None) -> None:
        settings = settings or EventSettings()
        if settings.speech_off > settings.speech_on:
            raise UsageError(
                f"events: speech_off ({settings.speech_off}) must not be above"
                f" speech_on ({settings.speech_on})"
            )
        self._kinds: tuple[Kind, ...] = tuple(kind(stream, settings) for kind in KINDS)

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in one prediction."""
        return [event for kind in self._kinds for event in kind.step(prediction)]

    def finish(self, t_ns: int) -> list[Event]:
        """End all open events at the latest at `t_ns`, the end of the stream's time line."""
        return [event for kind in self._kinds for event in kind.finish(t_ns)]
