"""Measures over an event: what its score, its evidence and its label are made of.

A measure is a word and an expression, `max loudness_rise_db`. Each is fed the values of every frame
that speaks for the event, from its beginning on; what is unknown in a frame does not count.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from streaming.events.base import Evidence
from streaming.events.expressions import Evaluate, Values


class Measure:
    """One of the words. `of_numbers`: whether it is of nothing else."""

    of_numbers = False

    def __init__(self, of: Evaluate) -> None:
        self._of = of
        self.value: Any = None

    def add(self, at: Sequence[Values]) -> bool:
        """Take in a frame; whether the value became another extreme."""
        raise NotImplementedError


class Mean(Measure):
    """Of the frames where it is known."""

    of_numbers = True
    _total, _count = 0.0, 0

    def add(self, at: Sequence[Values]) -> bool:
        value = self._of(at)
        if value is not None:
            self._total, self._count = self._total + value, self._count + 1
            self.value = self._total / self._count
        return False


class Max(Measure):
    """The greatest."""

    of_numbers = True

    def add(self, at: Sequence[Values]) -> bool:
        value = self._of(at)
        if value is None or (self.value is not None and value <= self.value):
            return False
        self.value = value
        return True


class Peak(Measure):
    """The furthest from zero."""

    of_numbers = True

    def add(self, at: Sequence[Values]) -> bool:
        value = self._of(at)
        if value is None or (self.value is not None and abs(value) <= abs(self.value)):
            return False
        self.value = value
        return True


class First(Measure):
    """The first that is known."""

    def add(self, at: Sequence[Values]) -> bool:
        if self.value is None:
            self.value = self._of(at)
        return False


class Last(Measure):
    """In the last frame that spoke for the event, known or not."""

    def add(self, at: Sequence[Values]) -> bool:
        self.value = self._of(at)
        return False


class AtPeak(Last):
    """In the frame in which the score became the extreme that it is."""


class Now(Measure):
    """The last that is known, be it in the frame that ended the event."""

    def add(self, at: Sequence[Values]) -> bool:
        value = self._of(at)
        self.value = self.value if value is None else value
        return False


class Count(Measure):
    """How many frames; of nothing."""

    def __init__(self, of: Evaluate) -> None:
        super().__init__(of)
        self.value = 0

    def add(self, at: Sequence[Values]) -> bool:
        self.value += 1
        return False


WORDS: dict[str, type[Measure]] = {
    "mean": Mean,
    "max": Max,
    "peak": Peak,
    "first": First,
    "last": Last,
    "at_peak": AtPeak,
    "now": Now,
    "count": Count,
}
Measured = tuple[type[Measure], Evaluate]


class Tally:
    """The measures of one event, so far."""

    def __init__(
        self,
        score: Measured | None,
        evidence: Sequence[tuple[str, Measured]],
        label: Measured | None,
    ) -> None:
        self._score = None if score is None else score[0](score[1])
        self._label = None if label is None else label[0](label[1])
        self._evidence = [(name, word(of)) for name, (word, of) in evidence]
        self._sort()

    def copy(self) -> Tally:
        """The same so far: what one takes in from now on, the other does not."""
        twin = copy.copy(self)
        twin._score, twin._label = copy.copy(self._score), copy.copy(self._label)
        twin._evidence = [(name, copy.copy(part)) for name, part in self._evidence]
        twin._sort()
        return twin

    def _sort(self) -> None:
        parts = [part for _, part in self._evidence] + ([self._label] if self._label else [])
        self._now = [part for part in parts if isinstance(part, Now)]
        self._at_peak = [part for part in parts if isinstance(part, AtPeak)]
        self._counted = [part for part in parts if not isinstance(part, Now | AtPeak)]

    def add(self, at: Sequence[Values]) -> None:
        """A frame speaks for the event."""
        if self._score is not None and self._score.add(at):
            for held in self._at_peak:
                held.add(at)
        for part in self._counted:
            part.add(at)

    def look(self, at: Sequence[Values]) -> None:
        """A frame was judged, whatever it says."""
        for part in self._now:
            part.add(at)

    @property
    def score(self) -> float | None:
        """None: there is no measure of it."""
        return None if self._score is None else float(self._score.value or 0.0)

    @property
    def evidence(self) -> Evidence:
        """All measures whose value is known."""
        found = ((name, part.value) for name, part in self._evidence)
        return {k: float(v) if isinstance(v, bool) else v for k, v in found if v is not None}

    @property
    def label(self) -> str:
        """Empty: there is no measure of it."""
        return "" if self._label is None else str(self._label.value or "")
