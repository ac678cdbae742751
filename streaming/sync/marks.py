"""Marks: flashes of the picture and beginnings of sounds, each between two instants.

Invariant: a mark never claims more than was seen or heard. The light came on somewhere between
the last dark picture and the first bright one; the sound began somewhere between its last quiet
block and its first loud one. What lies between two pictures too far apart is not looked at.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array

BREAK_NS = 125 * NS_PER_MS  # between two pictures: further apart, nothing is said of them
FLASH_LEVELS, STEP_LEVELS = (
    40.0,
    6.0,
)  # of 255: a flash; more than the noise from picture to picture
FAINT, FULL = 0.15, 0.85  # shares of a flash in a picture that may as well be none, or all of it

BLOCK_NS = 2 * NS_PER_MS
HEARD, JUST = 150, 5  # blocks of quiet before a beginning; the last ones may be part of it
RISE_DB, STIR_DB = 20.0, 3.0
FLOOR_DB, FAINT_DB = -70.0, -45.0
APART_NS = 200 * NS_PER_MS

Span = tuple[int, int]
FloatArray = npt.NDArray[np.float64]


class FlashFinder:
    """Mean grey levels of one stream's pictures in, flashes out as (earliest, latest) time."""

    def __init__(self) -> None:
        self._run: list[tuple[int, float]] = []  # a picture, and those that went on brightening

    def take(self, t_ns: int, level: float) -> Span | None:
        """The flash that was over, as far as it brightens, just before this picture."""
        if self._run and self._goes_on(t_ns, level):
            self._run.append((t_ns, level))
            return None
        found, self._run = _flash(self._run), [(t_ns, level)]
        return found

    def _goes_on(self, t_ns: int, level: float) -> bool:
        before_ns, before = self._run[-1]
        return level > before + STEP_LEVELS and 0 < t_ns - before_ns <= BREAK_NS


def _flash(run: list[tuple[int, float]]) -> Span | None:
    """When the light came on in `run`.

    Times are those of mid-exposure, and no exposure is longer than from one picture to the next.
    A picture that is half lit was being exposed as the light came on: then it did so within half
    a picture of its time. A picture that is dark or wholly lit bounds the flash by its own time.
    """
    if len(run) < 2 or run[-1][1] - run[0][1] < FLASH_LEVELS:
        return None
    if len(run) != 3:
        return run[0][0], run[-1][0]
    (t0, dark), (t1, middle), (t2, bright) = run
    share = (middle - dark) / (bright - dark)
    return (
        t0 if share > FULL else (t0 + t1) // 2,
        t2 if share < FAINT else (t1 + t2) // 2,
    )


class OnsetFinder:
    """Sound of one stream in, beginnings of loud sounds out of quiet as (earliest, latest) time."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz, self._size = rate_hz, rate_hz * BLOCK_NS // NS_PER_S
        self._begin(0)

    def _begin(self, t_ns: int) -> None:
        self._end_ns, self._last_ns = t_ns, t_ns - NS_PER_S
        self._rest, self._levels = np.zeros(0, np.float32), np.zeros(0)

    def take(self, t_ns: int, samples: Float32Array) -> list[Span]:
        """Beginnings in `samples` (N, C), whose first is dated `t_ns`."""
        if abs(t_ns - self._end_ns) > BLOCK_NS:
            self._begin(t_ns)
        sound = np.concatenate([self._rest, samples.mean(axis=1)])
        begin_ns = t_ns - len(self._rest) * NS_PER_S // self._rate_hz
        count = len(sound) // self._size
        blocks = sound[: count * self._size].reshape(count, self._size)
        self._rest = sound[count * self._size :]
        self._end_ns = t_ns + len(samples) * NS_PER_S // self._rate_hz
        old = len(self._levels)
        levels = np.concatenate([self._levels, _decibels(blocks)])
        self._levels = levels[-HEARD:]
        spans = [
            (begin_ns + (first - old) * BLOCK_NS, begin_ns + (last + 1 - old) * BLOCK_NS)
            for first, last in _rises(levels)
        ]
        return [span for span in spans if self._is_new(span)]

    def _is_new(self, span: Span) -> bool:
        if span[1] - self._last_ns < APART_NS:
            return False
        self._last_ns = span[1]
        return True


def _decibels(blocks: npt.NDArray[np.float32]) -> FloatArray:
    power = np.square(blocks, dtype=np.float64).mean(axis=1)
    return np.asarray(np.maximum(10 * np.log10(power + 1e-12), FLOOR_DB))


def _rises(levels: FloatArray) -> list[tuple[int, int]]:
    """Last quiet and first loud block of each rise, where enough was heard before it."""
    if len(levels) <= HEARD:
        return []
    before = np.lib.stride_tricks.sliding_window_view(levels[:-1], HEARD)[:, : HEARD - JUST]
    quiet, now = before.max(axis=1), levels[HEARD:]
    loud = np.flatnonzero((now >= quiet + RISE_DB) & (now > FAINT_DB))
    return [(_last_quiet(levels, i + HEARD, quiet[i]), i + HEARD) for i in loud.tolist()]


def _last_quiet(levels: FloatArray, at: int, quiet: float) -> int:
    first = at
    while first > at - JUST and levels[first - 1] > quiet + STIR_DB:
        first -= 1
    return first - 1
