"""The offset of a voice beside the mouth that speaks, by what mouths and voices have in common.

Three weighted sums of a mouth's motion and three of a voice's colour, learnt from speakers in step
(canonical correlation, H. Hotelling 1936; for this use M. Slaney and M. Covell, *FaceSync*, 2000),
agree best at the true offset. Invariant: pure, the same numbers give the same answer however they
came; nothing is said where the agreement is no better than that of strangers may be.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Trace
from streaming.sync.offset import FAR_NS, Offset
from streaming.sync.voice import STEP_NS

KEPT_NS = 30 * NS_PER_S
LEAST_NS = 4 * NS_PER_S  # of mouth and voice together
HOLE_NS = 50 * NS_PER_MS  # further than this from a picture nothing is known of the mouth
LAGS = FAR_NS // STEP_NS
MOUTH_TAPS, VOICE_TAPS = (-2, 0, 2), (-4, -2, 0, 2, 4)  # steps
AROUND = 25  # steps to each side: a voice is compared with its own mean of a second
CLIP = 4.0  # times the usual motion

BAR = 3.5  # correlation, summed, times the root of seconds
CHANCE = 0.003  # at most, of passing it by accident: see docs/synchronisation.md
SURE_NS = 40 * NS_PER_MS  # uncertainty of a long agreement; twice that at the bar

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class MouthVoiceMap(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt. `scale` (9,): usual motion; `mouth` (27, 3), `voice` (30, 3): weights."""

    scale: list[float]
    mouth: list[list[float]]
    voice: list[list[float]]


@lru_cache(maxsize=1)
def learnt() -> MouthVoiceMap:
    """The map that is shipped."""
    path = Path(__file__).with_name("mouth_voice.json")
    return msgspec.json.decode(path.read_bytes(), type=MouthVoiceMap)


class Track:
    """One stream's mouth or voice of the last half minute, in the order of its times."""

    def __init__(self, columns: int) -> None:
        self.t_ns: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.values: npt.NDArray[np.floating[Any]] = np.zeros((0, columns), np.float32)

    def add(self, t_ns: npt.NDArray[np.int64], values: npt.NDArray[np.float32]) -> None:
        """Take more, which need not come in order."""
        t_ns = np.concatenate([self.t_ns, t_ns])
        values = np.concatenate([self.values, values])
        self.t_ns, first = np.unique(t_ns, return_index=True)
        self.values = values[first]

    def forget(self, before_ns: int) -> None:
        """Drop what is older."""
        first = np.searchsorted(self.t_ns, before_ns)
        self.t_ns, self.values = self.t_ns[first:], self.values[first:]

    def at(self, grid_ns: npt.NDArray[np.int64]) -> tuple[FloatArray, BoolArray]:
        """Values on a grid, and where they are known."""
        after = np.clip(np.searchsorted(self.t_ns, grid_ns), 1, len(self.t_ns) - 1)
        left, right = self.t_ns[after - 1], self.t_ns[after]
        near = np.minimum(np.abs(grid_ns - left), np.abs(right - grid_ns)) <= HOLE_NS
        share = np.clip((grid_ns - left) / (right - left), 0, 1)[:, None]
        values = (1 - share) * self.values[after - 1] + share * self.values[after]
        return values, near


class SpeakerOffset:
    """Mouths and voices of one stream in; how late the voice is comes out."""

    def __init__(self, weights: MouthVoiceMap | None = None) -> None:
        weights = weights or learnt()
        self._scale = np.array(weights.scale)
        self._to_mouth, self._to_voice = np.array(weights.mouth), np.array(weights.voice)
        self.begin(0)

    def begin(self, from_ns: int) -> None:
        """Forget everything; take nothing from before `from_ns`."""
        self._from_ns = from_ns
        self._mouth = Track(len(self._scale))
        self._voice = Track(len(self._to_voice) // len(VOICE_TAPS))
        self._dated_ns = [0, 0]  # how surely mouth and voice are

    def see(self, t_ns: int, uncertainty_ns: int, mouth: Trace) -> None:
        """Take the mouth's motion that came with a look at `t_ns`."""
        self._dated_ns[0] = uncertainty_ns
        self._mouth.add(t_ns + mouth.at_ns, mouth.values)

    def hear(self, t_ns: int, uncertainty_ns: int, voice: Trace) -> None:
        """Take the voice's colour that came with sound of `t_ns`."""
        self._dated_ns[1] = uncertainty_ns
        self._voice.add(t_ns + voice.at_ns, voice.values)

    def measure(self, now_ns: int) -> Offset | None:
        """None: too little, or mouth and voice do not belong together."""
        for track in (self._mouth, self._voice):
            track.forget(max(self._from_ns, now_ns - KEPT_NS))
        if min(len(self._mouth.t_ns), len(self._voice.t_ns)) < LEAST_NS // STEP_NS // 3:
            return None
        first_ns = min(self._mouth.t_ns[0], self._voice.t_ns[0])
        last_ns = max(self._mouth.t_ns[-1], self._voice.t_ns[-1])
        grid_ns = np.arange(first_ns // STEP_NS, last_ns // STEP_NS + 1) * STEP_NS
        motion, seen = self._mouth.at(grid_ns)
        colour, heard = self._voice.at(grid_ns)
        ours = mouth_taps(motion, self._scale) @ self._to_mouth
        theirs = voice_taps(colour) @ self._to_voice
        return _best(*agreement(ours, seen, theirs, heard), sum(self._dated_ns))


def mouth_taps(motion: FloatArray, scale: FloatArray) -> FloatArray:
    """What the mouth's sums are made of: (n, 9) to (n, 27)."""
    return _tapped(np.clip(motion / scale, -CLIP, CLIP), MOUTH_TAPS)


def voice_taps(colour: FloatArray) -> FloatArray:
    """What the voice's sums are made of: (n, 6) to (n, 30)."""
    return _tapped(colour - _means(colour), VOICE_TAPS)


def agreement(
    mouth: FloatArray, seen: BoolArray, voice: FloatArray, heard: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Correlation of (n, c) and (n, c), summed over c, and the pairs behind it, at each of the
    2 * LAGS + 1 lags; at lag l `voice` is l steps late."""
    mouth, voice = mouth * seen[:, None], voice * heard[:, None]
    ours = np.column_stack([seen, mouth, mouth**2])
    padded = np.pad(np.column_stack([heard, voice, voice**2]), ((LAGS, LAGS), (0, 0)))
    theirs = np.lib.stride_tricks.sliding_window_view(padded, len(ours), axis=0)
    sums = np.ascontiguousarray(theirs) @ ours  # (lags, theirs, ours)
    c = mouth.shape[1]
    one, two = slice(1, c + 1), slice(c + 1, 2 * c + 1)
    count = np.maximum(sums[:, 0, 0], 1.0)
    both = np.diagonal(sums[:, one, one], axis1=1, axis2=2)
    mouth_sum, voice_sum = sums[:, 0, one], sums[:, one, 0]
    shared = both - mouth_sum * voice_sum / count[:, None]
    mouth_power = sums[:, 0, two] - mouth_sum**2 / count[:, None]
    voice_power = sums[:, two, 0] - voice_sum**2 / count[:, None]
    usual = np.sqrt(np.maximum(mouth_power * voice_power, 1e-12))
    return (shared / usual).sum(axis=1), sums[:, 0, 0]


def _best(summed: FloatArray, count: FloatArray, dated_ns: int) -> Offset | None:
    """The lag of the best agreement, if it is good enough; `dated_ns`: how wrong times may be."""
    at = int(np.argmax(summed))
    score = summed[at] * np.sqrt(count[at] * STEP_NS / NS_PER_S)
    good = score >= BAR  # never of a NaN
    if at in (0, 2 * LAGS) or count.min() * STEP_NS < LEAST_NS or not good:
        return None
    before, top, after = summed[at - 1 : at + 2]
    bend = before - 2 * top + after
    beside = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return Offset(
        offset_ns=round((at - LAGS + beside) * STEP_NS),
        uncertainty_ns=round(SURE_NS * (1 + BAR / score)) + dated_ns,
        chance=CHANCE,
        agreeing=0,
        pairs=0,
    )


def _means(values: FloatArray) -> FloatArray:
    """Of the rows around each row, as far as there are any: (n, D) to (n, D)."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    rows = np.arange(len(values))
    first, last = np.maximum(rows - AROUND, 0), np.minimum(rows + AROUND + 1, len(values))
    return np.asarray((sums[last] - sums[first]) / (last - first)[:, None])


def _tapped(values: FloatArray, taps: tuple[int, ...]) -> FloatArray:
    """Each row with those `taps` steps away, the ends repeated: (n, D) to (n, D * len(taps))."""
    rows = np.arange(len(values))
    return np.hstack([values[np.clip(rows + tap, 0, len(values) - 1)] for tap in taps])
