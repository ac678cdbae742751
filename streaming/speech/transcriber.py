"""A recogniser of a detector of speech and an engine: utterances found, words dated.

Speech is cut at pauses; the longer an utterance, the shorter the pause that will do, and at
`longest_s` it is cut anywhere. Invariants: a word's time follows from the times that its samples
came with; final words and their times do not depend on the pieces in which sound came.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array, Word
from streaming.settings import AUDIO_RATE_HZ
from streaming.speech.engine import Engine, EngineWord
from streaming.speech.recogniser import Heard, Outcome

FRAME_N = 512  # of the detector: 32 ms
SPEECH_AT, PAUSE_BELOW = 0.5, 0.35
LEAD_FRAMES = 8  # 256 ms before the detector is sure: the first consonant
LEAD_NS = LEAD_FRAMES * FRAME_N * NS_PER_S // AUDIO_RATE_HZ
PAUSE_FRAMES = 10  # 320 ms
HOLE_NS = 20 * NS_PER_MS  # as in media: less is the jitter of rounded times


class Detector(Protocol):
    """How likely there is speech, for each frame of 512 samples in turn."""

    def probabilities(self, frames: Float32Array) -> Float32Array:
        """float32 (T * 512,) at 16 kHz -> (T,) in 0 to 1."""
        ...

    def reset(self) -> None:
        """Forget what came before: the next sound does not touch it."""
        ...


class Transcriber:
    """Obeys `Recogniser`; it answers when it has done the work."""

    cpu_s = 0.0

    def __init__(self, detector: Detector, engine: Engine, longest_s: float) -> None:
        self._detector, self._engine = detector, engine
        self._longest = max(round(longest_s * AUDIO_RATE_HZ / FRAME_N), 1)
        self._settled_ns = 0
        self._begin_run(0)

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        """As `Recogniser.feed`."""
        heard: list[Heard] = []
        if abs(t_ns - self._time_of(self._taken)) > HOLE_NS:
            heard += self._end_run()
            self._begin_run(t_ns)
        self._anchors.append((self._taken, t_ns))
        self._taken += len(samples)
        heard += self._listen(samples)
        if self._open and not hurry:
            heard += self._guess()
        return self._outcome(heard)

    def end(self) -> Outcome:
        """As `Recogniser.end`."""
        heard = self._end_run()
        return self._outcome(heard)

    def close(self) -> None:
        """Nothing is held."""

    def _begin_run(self, t_ns: int) -> None:
        """Sound that goes on without a hole from `t_ns` on; samples are counted from here."""
        self._detector.reset()
        self._anchors: deque[tuple[int, int]] = deque([(0, t_ns)])
        self._taken = self._done = 0  # samples
        self._rest = np.zeros(0, np.float32)
        self._lead: deque[Float32Array] = deque(maxlen=LEAD_FRAMES)
        self._open = False
        self._first = 0  # sample of the utterance, as the engine counts
        self._start_ns = 0
        self._frames = self._quiet = 0
        self._guessed_at = 0
        self._last_guess: list[str] = []

    def _end_run(self) -> list[Heard]:
        if self._open and len(self._rest):
            self._engine.feed(self._rest)
        heard = self._finish() if self._open else []
        self._settled_ns = max(self._settled_ns, self._time_of(self._taken))
        return heard

    def _listen(self, samples: Float32Array) -> list[Heard]:
        line = np.concatenate([self._rest, samples])
        whole = len(line) // FRAME_N * FRAME_N
        self._rest = line[whole:]
        frames = line[:whole].reshape(-1, FRAME_N)
        heard: list[Heard] = []
        for frame, speech in zip(frames, self._detector.probabilities(line[:whole]), strict=True):
            heard += self._step(frame, float(speech))
            self._done += FRAME_N
        return heard

    def _step(self, frame: Float32Array, speech: float) -> list[Heard]:
        if not self._open:
            if speech >= SPEECH_AT:
                self._begin(frame)
            else:
                self._lead.append(frame)
            return []
        self._engine.feed(frame)
        self._frames += 1
        self._quiet = self._quiet + 1 if speech < PAUSE_BELOW else 0
        return self._finish() if self._is_over() else []

    def _begin(self, frame: Float32Array) -> None:
        self._open, self._frames, self._quiet = True, 1, 0
        self._first = self._done - len(self._lead) * FRAME_N
        self._start_ns = max(self._time_of(self._done), self._settled_ns)
        self._guessed_at, self._last_guess = self._done, []
        self._engine.begin()
        for part in (*self._lead, frame):
            self._engine.feed(part)
        self._lead.clear()

    def _is_over(self) -> bool:
        """After a pause, which may be short towards the longest that an utterance may be."""
        left = 1 - self._frames / self._longest
        enough = PAUSE_FRAMES if left > 0.5 else max(round(2 * left * PAUSE_FRAMES), 1)
        return left <= 0 or self._quiet >= enough

    def _finish(self) -> list[Heard]:
        self._open = False
        return self._heard(self._engine.finish(), is_final=True)

    def _guess(self) -> list[Heard]:
        if (self._done - self._guessed_at) * NS_PER_S < self._engine.guess_every_ns * AUDIO_RATE_HZ:
            return []
        self._guessed_at = self._done
        found = self._engine.guess()
        said = [word.text for word in found]
        if said == self._last_guess:
            return []
        self._last_guess = said
        return self._heard(found, is_final=False)

    def _heard(self, found: list[EngineWord], *, is_final: bool) -> list[Heard]:
        words = self._dated(found)
        if not words:
            return []
        end_ns = max(words[-1].end_ns, self._start_ns)
        return [Heard(start_ns=self._start_ns, end_ns=end_ns, words=words, is_final=is_final)]

    def _dated(self, words: list[EngineWord]) -> tuple[Word, ...]:
        return tuple(
            Word(
                text=word.text,
                start_ns=max(self._time_of(self._first + word.start), 0),
                end_ns=max(self._time_of(self._first + word.end), 0),
                probability=word.probability,
            )
            for word in words
        )

    def _time_of(self, sample: int) -> int:
        """When a sample of this run was taken."""
        at, t_ns = self._anchors[0]
        for anchor in self._anchors:
            if anchor[0] > sample:
                break
            at, t_ns = anchor
        return t_ns + (sample - at) * NS_PER_S // AUDIO_RATE_HZ

    def _outcome(self, heard: list[Heard]) -> Outcome:
        """In a pause all that was taken is settled: what begins later is dated no earlier."""
        reached_ns = self._start_ns if self._open else self._time_of(self._taken)
        self._settled_ns = max(self._settled_ns, reached_ns)
        self._forget_anchors()
        return Outcome(heard=tuple(heard), settled_ns=self._settled_ns)

    def _forget_anchors(self) -> None:
        oldest = self._first if self._open else self._done - LEAD_FRAMES * FRAME_N
        while len(self._anchors) > 1 and self._anchors[1][0] <= oldest:
            self._anchors.popleft()
