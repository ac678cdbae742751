"""Speech by hand: a detector and an engine that read a script out of the samples themselves.

A sample of 1 is speech, 0 is none. The engine hears a word wherever sound of 1 begins.
"""

from __future__ import annotations

import threading

import numpy as np

from actors.speech_kept import KeptRecogniser
from streaming.clock import HandClock
from streaming.packets import Float32Array, Word
from streaming.speech.engine import EngineWord
from streaming.speech.recogniser import Heard, Outcome

RATE_HZ = 16_000
MS = 1_000_000


class LevelDetector:
    """Speech where a frame's samples are loud."""

    def __init__(self) -> None:
        self.resets = 0

    def probabilities(self, frames: Float32Array) -> Float32Array:
        return frames.reshape(-1, 512).mean(axis=1)

    def reset(self) -> None:
        self.resets += 1


class StepEngine:
    """A word for each stretch of loud samples."""

    guess_every_ns = 500 * MS

    def __init__(self) -> None:
        self.line: list[Float32Array] = []

    def begin(self) -> None:
        self.line = []

    def feed(self, samples: Float32Array) -> None:
        self.line.append(samples)

    def guess(self) -> list[EngineWord]:
        return [EngineWord(text="er", start=0, end=1, probability=0.0), *self.finish()]

    def finish(self) -> list[EngineWord]:
        loud = np.concatenate([[0.0], *self.line, [0.0]]) > 0.5
        edges = np.flatnonzero(np.diff(loud.astype(np.int8)))
        return [
            EngineWord(text=f"w{i}", start=int(start), end=int(end), probability=1.0)
            for i, (start, end) in enumerate(edges.reshape(-1, 2))
        ]


def speech(*spans: tuple[str, int]) -> Float32Array:
    """`("on", ms)` and `("off", ms)` in turn, as samples."""
    return np.concatenate(
        [np.full(ms * RATE_HZ // 1000, float(what == "on"), np.float32) for what, ms in spans]
    )


class SlowRecogniser:
    """Answers when `release` is set, each chunk with one word that lasts as long as it."""

    cpu_s = 0.0

    def __init__(self, fail_at: int = -1) -> None:
        self.release = threading.Event()
        self.fed: list[tuple[int, int]] = []
        self.hurried: list[bool] = []
        self.closed = False
        self._fail_at = fail_at
        self._end_ns = 0

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        assert self.release.wait(10)
        if len(self.fed) == self._fail_at:
            raise RuntimeError("the engine broke")
        self.fed.append((t_ns, len(samples)))
        self.hurried.append(hurry)
        self._end_ns = t_ns + len(samples) * 10**9 // RATE_HZ
        word = Word(text=f"word{len(self.fed)}", start_ns=t_ns, end_ns=self._end_ns)
        heard = Heard(start_ns=t_ns, end_ns=self._end_ns, words=(word,), is_final=True)
        return Outcome(heard=(heard,), settled_ns=self._end_ns)

    def end(self) -> Outcome:
        return Outcome(settled_ns=self._end_ns)

    def close(self) -> None:
        self.closed = True
        self.release.set()


def kept(recogniser: SlowRecogniser, language: str = "") -> KeptRecogniser:
    """The same, not opened again when it breaks."""
    return KeptRecogniser(lambda: recogniser, 0, HandClock(), language=language)
