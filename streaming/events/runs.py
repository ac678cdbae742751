"""Runs: stretches of frames for which something holds, with hysteresis, minimum and hang-over.

The machine behind speech, silence and loudness. It looks at the frames' own times only, so cutting
a track into other chunks changes nothing. A run begins with an ON frame, is announced once it has
lasted `min_ns`, goes on over HOLD frames and over pauses shorter than `hang_ns`, and ends where
its last ON or HOLD frame ended, exact to the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from enum import Enum, auto

import msgspec

from streaming.events.base import TRACK_LAG_NS, UPDATE_EVERY_NS, Ended
from streaming.results import Phase


class Verdict(Enum):
    """What one frame says."""

    OFF = auto()
    HOLD = auto()  # enough to go on, not enough to begin
    ON = auto()
    GONE = auto()  # there was no input to judge


class Run(msgspec.Struct):
    """A stretch under way, with the values of its ON and HOLD frames."""

    start_ns: int
    end_ns: int
    frames: int = 0
    total: float = 0.0
    peak: float = float("-inf")
    announced: bool = False
    reported_ns: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.frames

    def extend(self, end_ns: int, value: float) -> None:
        self.end_ns = end_ns
        self.frames += 1
        self.total += value
        self.peak = max(self.peak, value)


class Change(msgspec.Struct, frozen=True):
    """A run was announced, goes on, or ended (then `ended_by` says why). `run` is a copy."""

    phase: Phase
    run: Run
    ended_by: str = ""


class RunTracker:
    """Feeds on frames in time order; see the module."""

    def __init__(self, *, min_ns: int, hang_ns: int) -> None:
        self._min_ns, self._hang_ns = min_ns, hang_ns
        self._run: Run | None = None

    def feed(
        self, start_ns: int, end_ns: int, verdict: Verdict, value: float = 0.0
    ) -> Iterator[Change]:
        """Judge the frame `[start_ns, end_ns)`."""
        yield from self._break_off(start_ns, end_ns, verdict)
        if verdict is Verdict.ON and self._run is None:
            self._run = Run(start_ns, end_ns)
        if self._run is not None and verdict in (Verdict.ON, Verdict.HOLD):
            self._run.extend(end_ns, value)
            yield from self._report(self._run)

    def lapse(self, t_ns: int) -> Iterator[Change]:
        """All frames up to about `t_ns` were fed: end a run whose input has stopped coming."""
        run = self._run
        if run is not None and t_ns - run.end_ns >= self._hang_ns + TRACK_LAG_NS:
            yield from self._end(Ended.LOST)

    def finish(self) -> Iterator[Change]:
        """End what is open."""
        yield from self._end(Ended.STREAM)

    def _break_off(self, start_ns: int, end_ns: int, verdict: Verdict) -> Iterator[Change]:
        run = self._run
        if run is None:
            return
        hole_ns = start_ns - run.end_ns
        if verdict is Verdict.GONE or (hole_ns > 0 and hole_ns >= self._hang_ns):
            yield from self._end(Ended.LOST)
        elif verdict is Verdict.OFF and end_ns - run.end_ns >= self._hang_ns:
            yield from self._end(Ended.OVER)

    def _report(self, run: Run) -> Iterator[Change]:
        if not run.announced:
            if run.end_ns - run.start_ns >= self._min_ns:
                run.announced, run.reported_ns = True, run.end_ns
                yield Change(Phase.START, copy(run))
        elif run.end_ns - run.reported_ns >= UPDATE_EVERY_NS:
            run.reported_ns = run.end_ns
            yield Change(Phase.UPDATE, copy(run))

    def _end(self, ended_by: str) -> Iterator[Change]:
        run, self._run = self._run, None
        if run is not None and run.announced:
            yield Change(Phase.END, run, ended_by)
