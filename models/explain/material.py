"""What one window was made of, caught on its way through the live pipeline.

Invariant: there is no second path. `Recorder` stands where the analyser stands, passes everything
on to it, and keeps the hops' material as the analyser's own `StreamState` cuts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.analyser import Analyser
from models.state import MAX_TEXTS, FaceJob, Jobs, SoundJob, StreamState
from models.types import Scores, Text, WindowInput
from models.vad import STEP_NS, SileroVad

EARLIER = 7  # utterances that a text is read after, itself the eighth
KEPT_TEXTS = MAX_TEXTS + EARLIER


@dataclass(frozen=True, kw_only=True)
class HopFaces:
    """uint8 (F, 48, 48) grey crops of one hop."""

    start_ns: int
    end_ns: int
    crops: np.ndarray


@dataclass(frozen=True, kw_only=True)
class HopVoice:
    """float32 (24 + T, 64) normalised log-mel frames of one hop that holds speech."""

    start_ns: int
    end_ns: int
    frames: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that the encoders were given for one window, and what came of it.

    earlier: utterances before the first of `texts`, in whose light it is read.
    """

    start_ns: int
    end_ns: int
    scores: Scores
    faces: tuple[HopFaces, ...] = ()
    voices: tuple[HopVoice, ...] = ()
    texts: tuple[Text, ...] = ()
    earlier: tuple[Text, ...] = ()


class Recorder:
    """An analyser for one stream that remembers the window which `at_ns` falls into.

    That is the first window that ends after `at_ns`: the one whose newest hop covers it. When it
    is scored, `on_found` is called; later windows are no longer scored.
    """

    def __init__(self, analyser: Analyser, at_ns: int, on_found: Callable[[], None]) -> None:
        self.revision = analyser.revision
        self.sentiment_prior = analyser.sentiment_prior
        self.material: Material | None = None
        self.last_end_ns = 0
        self._analyser = analyser
        self._at_ns = at_ns
        self._on_found = on_found
        self._state, self._vad, self._jobs = StreamState(), SileroVad(), Jobs()

    def forget(self, stream: str) -> None:
        """As `Analyser.forget`."""
        self._analyser.forget(stream)

    def fork(self, stream: str, to: str) -> None:
        """As the analyser does."""
        self._analyser.fork(stream, to)

    def step(self, windows: Sequence[WindowInput]) -> list[Scores]:
        """As `Analyser.step`, for the one stream."""
        if self.material is not None:
            return [_unscored(window) for window in windows]
        scores = self._analyser.step(windows)
        for window, score in zip(windows, scores, strict=True):
            self._record(window, score)
        return scores

    def _record(self, window: WindowInput, scores: Scores) -> None:
        self._state.take(window, self._vad, self._jobs)
        self.last_end_ns = window.end_ns
        self._jobs = _covered(self._jobs, window)
        if window.end_ns > self._at_ns:
            self.material = _material(self._jobs, window, scores)
            self._on_found()


def heard(window: WindowInput) -> tuple[HopVoice, ...]:
    """The hops of a fresh stream's first window that hold speech."""
    jobs = Jobs()
    StreamState().take(window, SileroVad(), jobs)
    return _voices(jobs)


def _covered(jobs: Jobs, window: WindowInput) -> Jobs:
    """The jobs that this window or a later one may need."""
    return Jobs(
        faces=[job for job in jobs.faces if job.hop.end_ns > window.start_ns],
        sounds=[job for job in jobs.sounds if job.hop.end_ns > window.start_ns],
        texts=jobs.texts[-KEPT_TEXTS:],
    )


def _material(jobs: Jobs, window: WindowInput, scores: Scores) -> Material:
    said = [job.text for job in jobs.texts if job.text.start_ns < window.end_ns]
    held = [text for text in said if text.end_ns > window.start_ns]
    before = said[: said.index(held[0])] if held else []
    return Material(
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        scores=scores,
        faces=tuple(_faces(job) for job in jobs.faces),
        voices=_voices(jobs),
        texts=tuple(held),
        earlier=tuple(before[-EARLIER:]),
    )


def _faces(job: FaceJob) -> HopFaces:
    return HopFaces(start_ns=job.hop.start_ns, end_ns=job.hop.end_ns, crops=job.crops)


def _voices(jobs: Jobs) -> tuple[HopVoice, ...]:
    """The hops with speech."""
    return tuple(_voice(job) for job in jobs.sounds if job.spoken)


def _voice(job: SoundJob) -> HopVoice:
    return HopVoice(start_ns=job.hop.start_ns, end_ns=job.hop.end_ns, frames=job.frames)


def _unscored(window: WindowInput) -> Scores:
    return Scores(
        sentiment=None, sentiment_low=None, sentiment_high=None, arousal=None, emotions=None,
        contributions={}, unimodal={}, speech_start_ns=window.end_ns, speech_step_ns=STEP_NS,
        speech=np.zeros(0, np.float32),
    )  # fmt: skip
