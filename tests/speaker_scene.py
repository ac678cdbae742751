"""A mouth and a voice that move by the same will, as the shipped map sees them."""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_S
from streaming.packets import Trace
from streaming.sync.speaker import learnt, voice_taps

STEP_S = 0.02


def speaking(
    seconds: float, *, late_s: float = 0.0, fps: float = 25.0, phase_s: float = 0.0, seed: int = 0
) -> tuple[Trace, Trace]:
    """Mouth and voice, dated from 0. The voice is heard `late_s` after the mouth is seen."""
    weights, rng = learnt(), np.random.default_rng(seed)
    at_s = np.arange(-1, seconds + 1, STEP_S)
    will = _smooth(rng.normal(size=(len(at_s), 6)))
    wanted = voice_taps(will) @ np.array(weights.voice)
    middle = np.array(weights.mouth)[9:18]  # the weights of the tap at lag 0
    mouth = wanted @ np.linalg.pinv(middle)
    mouth *= np.array(weights.scale) / np.abs(mouth).max(axis=0)  # so that nothing is clipped
    mouth *= 4
    seen_s = np.arange(phase_s, seconds, 1 / fps)
    heard_s = np.arange(0.016, seconds, STEP_S)
    return _trace(seen_s, seen_s, at_s, mouth), _trace(heard_s, heard_s - late_s, at_s, will)


def _trace(dated_s: np.ndarray, of_s: np.ndarray, at_s: np.ndarray, values: np.ndarray) -> Trace:
    columns = [np.interp(of_s, at_s, column) for column in values.T]
    return Trace(
        at_ns=np.round(dated_s * NS_PER_S).astype(np.int64),
        values=np.stack(columns, axis=1).astype(np.float32),
    )


def _smooth(noise: np.ndarray) -> np.ndarray:
    """As slow as syllables: about 5 Hz."""
    window = np.hanning(9)[:, None]
    return np.stack([np.convolve(c, window[:, 0] / window.sum(), "same") for c in noise.T], axis=1)
