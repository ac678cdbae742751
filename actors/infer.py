"""Inference: windows of any number of streams in, predictions out, batched over streams.

Invariant: what leaves for one stream keeps the order in which it came; no two windows of one
stream share a batch, because the second needs what the first left behind. What waits too long in
real time is given up, as `actors.backlog` says.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from actors.backlog import Backlog, Limits
from actors.messages import Cargo, Scored, StreamEnded, WindowReady
from actors.translate import SPEECH_AT, prediction, window_input
from models.types import Scores, WindowInput
from streaming.clock import NS_PER_MS, Clock
from streaming.results import Timing
from streaming.windows import ClosedBy, Status

REMEMBERED = 8  # windows that are scored again when a stage takes another's place


class Scorer(Protocol):
    """What `InferStage` asks of an analyser, or of what stands in its place."""

    revision: str

    def step(self, windows: Sequence[WindowInput]) -> list[Scores]:
        """Score one window of each given stream."""

    def forget(self, stream: str) -> None:
        """Drop the memory of a stream."""

    def fork(self, stream: str, to: str) -> None:
        """Give the stream `to` a memory of its own, as that of `stream` is now."""


class InferStage:
    """The analyser behind the stages' seam, and the memory that spans windows.

    `published`: of streams that another stage has scored so far, the last window that was
    published; the few before it are scored again, for the memory's sake. `limits`: of age and size
    for what waits; none if left out.
    """

    def __init__(
        self,
        analyser: Scorer,
        clock: Clock,
        published: Mapping[str, int] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._analyser = analyser
        self._clock = clock
        self._scored = {name: i - REMEMBERED for name, i in (published or {}).items()}
        self._backlog = Backlog(limits, clock.now_ns() if published else 0)
        self._speech: dict[str, deque[tuple[int, bool]]] = {}

    @property
    def room(self) -> int:
        """How many more cargoes `take` may be given."""
        return self._backlog.room

    @property
    def waiting(self) -> int:
        """How many cargoes wait."""
        return self._backlog.waiting

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._backlog.waiting

    def take(self, cargoes: Sequence[Cargo]) -> None:
        """Take in what is to be scored."""
        self._backlog.add(cargo for cargo in cargoes if self._is_new(cargo))

    def step(self) -> list[Cargo]:
        """Score one batch of what waits: one window of each stream, or as many as time allows."""
        ended, batch = self._backlog.next_batch(self._clock.now_ns())
        for stream in ended:
            self._forget(stream.stream)
        return [*ended, *(self._score(batch) if batch else ())]

    def handle(self, cargoes: Sequence[Cargo]) -> list[Cargo]:
        """Score all windows at hand, in as few batches as their order allows."""
        self.take(cargoes)
        out: list[Cargo] = []
        while not self.idle:
            out += self.step()
        return out

    def _is_new(self, cargo: Cargo) -> bool:
        """Windows come a second time when the aligner was started anew."""
        if isinstance(cargo, StreamEnded):
            self._scored.pop(cargo.stream, None)
        if not isinstance(cargo, WindowReady):
            return True
        if cargo.index <= self._scored.get(cargo.stream, -1):
            return False
        if cargo.status is not Status.PROVISIONAL:
            self._scored[cargo.stream] = cargo.index
        return True

    def _score(self, batch: list[WindowReady]) -> list[Cargo]:
        taken_ns = self._clock.now_ns()
        scores = self._analyser.step([self._input(ready) for ready in batch])
        for ready in batch:
            if ready.status is Status.PROVISIONAL:
                self._analyser.forget(_aside(ready.stream))
        done_ns = self._clock.now_ns()
        spent_ns = done_ns - taken_ns
        self._backlog.spent(batch, spent_ns, done_ns)
        return [
            Scored(
                prediction(
                    ready,
                    score,
                    self._speech_share(ready, score),
                    model=self._analyser.revision,
                    timing=Timing(
                        align_ms=_ms(ready.closed_at_ns - ready.origin_ns - ready.end_ns)
                        if ready.paced and ready.closed_by is not ClosedBy.END
                        else None,
                        queue_ms=_ms(taken_ns - ready.closed_at_ns),
                        model_ms=_ms(spent_ns),
                    ),
                )
            )
            for ready, score in zip(batch, scores, strict=True)
        ]

    def _input(self, ready: WindowReady) -> WindowInput:
        """A provisional window is scored on a copy of the stream's memory: it leaves no trace."""
        asked = window_input(ready)
        if ready.status is not Status.PROVISIONAL:
            return asked
        self._analyser.fork(ready.stream, _aside(ready.stream))
        return dataclasses.replace(asked, stream=_aside(ready.stream))

    def _speech_share(self, ready: WindowReady, scores: Scores) -> float:
        """Share of the window's speech frames in which somebody spoke."""
        frames = self._speech.setdefault(ready.stream, deque())
        if ready.status is Status.PROVISIONAL:
            frames = frames.copy()
        frames.extend(
            (scores.speech_start_ns + i * scores.speech_step_ns, bool(p >= SPEECH_AT))
            for i, p in enumerate(scores.speech)
        )
        while frames and frames[0][0] < ready.start_ns:
            frames.popleft()
        return sum(spoken for _, spoken in frames) / len(frames) if frames else 0.0

    def _forget(self, stream: str) -> None:
        self._analyser.forget(stream)
        self._speech.pop(stream, None)


def _aside(stream: str) -> str:
    """A name that no stream can have."""
    return f"{stream} (provisional)"


def _ms(span_ns: int) -> float:
    return round(span_ns / NS_PER_MS, 3)
