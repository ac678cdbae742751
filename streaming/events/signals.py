"""Quantities with memory, which rules may name: what frames say, beside what was before them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from streaming.clock import NS_PER_S
from streaming.events.base import TRACK_LAG_NS
from streaming.events.expressions import Value, Values
from streaming.events.means import ExponentialMean
from streaming.events.tracks import FrameReader
from streaming.results import FaceCount, Prediction, Result

Frame = tuple[int, int, tuple[Values, ...]]  # start, end, values; none where the input was gone

RISE_S, FALL_S = 2.0, 10.0
WARM_UP_NS = NS_PER_S
QUIETEST_DBFS = -120.0

FAST_S, SLOW_S = 1.0, 10.0
# Before this much sentiment was seen there is no baseline to move away from.
BASELINE_NS = 3 * NS_PER_S
FORGET_NS = 5 * NS_PER_S


class Background:
    """The level that is usual: an exponential mean of the level in dB that rises with a time
    constant of 2 s and falls with one of 10 s, so that pauses between words do not make every word
    a spike, and a sound that stays loud becomes the background. It is made of frames before the
    one that is held against it, and never lies under the floor."""

    def __init__(self, floor_dbfs: float) -> None:
        self._floor_dbfs = floor_dbfs
        self._dbfs: float | None = None
        self._heard_ns = 0

    def hold_against(self, level: float, duration_ns: int) -> dict[str, Value]:
        """What rules may name of this level. The first second only builds the background."""
        before = level if self._dbfs is None else self._dbfs
        against = max(before, self._floor_dbfs)
        known = self._heard_ns >= WARM_UP_NS
        keep = math.exp(-duration_ns / NS_PER_S / (RISE_S if level > before else FALL_S))
        self._dbfs = keep * before + (1.0 - keep) * level
        self._heard_ns += duration_ns
        return {
            "loudness_dbfs": level,
            "loudness_rise_db": level - against if known else None,
            "loudness_background_dbfs": against,
        }


class Tracks:
    """The frames of a stream's speech and loudness, laid end to end.

    A frame of loudness is given out at once for rules that look at nothing else, and again, with
    the highest `speech_probability` over it, when that is known: 32 ms do not fit into 50. What is
    later than `TRACK_LAG_NS` is not waited for.
    """

    def __init__(self, floor_dbfs: float) -> None:
        self._speech: FrameReader[float] = FrameReader()
        self._loudness: FrameReader[float | None] = FrameReader()
        self._background = Background(floor_dbfs)
        self._spoken: deque[tuple[int, int, float]] = deque()
        self._waiting: deque[Frame] = deque()

    def speech(self, prediction: Prediction) -> list[Frame]:
        """The new frames of speech."""
        track = prediction.speech
        new = list(self._speech.read(track.start_ns, track.step_ns, track.probability))
        self._spoken.extend(new)
        return [(start, end, ({"speech_probability": p},)) for start, end, p in new]

    def loudness(self, prediction: Prediction) -> list[Frame]:
        """The new frames of loudness, without speech."""
        track = prediction.loudness
        new = self._loudness.read(track.start_ns, track.step_ns, track.dbfs)
        frames = [(start, end, self._values(dbfs, end - start)) for start, end, dbfs in new]
        self._waiting.extend(frames)
        return frames

    def with_speech(self, until_ns: int) -> Iterator[Frame]:
        """The frames of loudness over which speech is known, or will not be any more: those up to
        `until_ns`."""
        known_ns = max(self._speech.until_ns, until_ns)
        while self._waiting and self._waiting[0][1] <= known_ns:
            start_ns, end_ns, at = self._waiting.popleft()
            while self._spoken and self._spoken[0][1] <= start_ns:
                self._spoken.popleft()
            if at:
                at = ({**at[0], "speech_probability": self._spoken_until(end_ns)},)
            yield start_ns, end_ns, at

    def rest(self, t_ns: int) -> Iterator[Frame]:
        """Those that still wait, when the stream ends at `t_ns`."""
        return self.with_speech(max(t_ns, self._loudness.until_ns))

    def _values(self, dbfs: float | None, duration_ns: int) -> tuple[Values, ...]:
        if dbfs is None:
            return ()
        return (self._background.hold_against(max(dbfs, QUIETEST_DBFS), duration_ns),)

    def _spoken_until(self, end_ns: int) -> float:
        highest = 0.0
        for begin_ns, _, probability in self._spoken:
            if begin_ns >= end_ns:
                break
            highest = max(highest, probability)
        return highest


def look_values(look: FaceCount) -> tuple[Values, ...]:
    """What one look of the face tracker shows."""
    return ({"faces": look.faces, "face_seen": int(look.faces > 0), "track_id": look.track_id},)


class Mood:
    """A fast (1 s) and a slow (10 s) exponential mean of the sentiment score."""

    def __init__(self) -> None:
        self._seen_ns: int | None = None

    def hop(self, result: Result) -> dict[str, Value]:
        """What rules may name of it; nothing before there is a baseline."""
        if self._seen_ns is not None and result.end_ns - self._seen_ns >= FORGET_NS:
            self._seen_ns = None
        if result.sentiment is None:
            return {}
        fast, slow = self._add(result.sentiment.score, result.end_ns)
        if result.end_ns - self._first_ns < BASELINE_NS:
            return {}
        return {"mood_fast": fast, "mood_slow": slow, "mood_shift": fast - slow}

    def _add(self, score: float, end_ns: int) -> tuple[float, float]:
        if self._seen_ns is None:
            self._fast, self._slow = ExponentialMean(FAST_S), ExponentialMean(SLOW_S)
            self._first_ns = self._seen_ns = end_ns
        elapsed_s = (end_ns - self._seen_ns) / NS_PER_S
        self._fast.add(score, elapsed_s)
        self._slow.add(score, elapsed_s)
        self._seen_ns = end_ns
        return self._fast.value, self._slow.value


def horizon_ns(result: Result) -> int:
    """Up to where all tracks are known, once the window of `result` has closed."""
    return result.end_ns - TRACK_LAG_NS
