"""Log-mel spectrum of 16 kHz audio, causal: hop borders leave no trace in the frames.

Frames of 25 ms every 10 ms, Hann window, 512-point FFT, 64 triangular filters on the mel scale of
O'Shaughnessy (1987), mel = 2595 log10(1 + f / 700), from 60 Hz to 7,600 Hz, natural logarithm of
power. The level is then taken out with a peak follower that only looks back, because the gain of a
microphone says nothing about a voice, while the change of loudness within a session does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import rfft

from models.types import SAMPLE_RATE_HZ

MELS = 64
FRAME_N = 400
STEP_N = 160
FFT_N = 512
CONTEXT_T = 24  # frames of left context that the voice encoder sees before a hop
_FLOOR = 1e-12  # power; far below the noise of any microphone
PEAK_FLOOR = -13.0  # nats; quieter than this is not lifted
_DECAY = 0.001  # nats per frame, 0.43 dB per second


def mel_filters() -> np.ndarray:
    """(257, 64) triangular filters, unit height."""
    low, high = 2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)
    mel = np.linspace(low, high, MELS + 2)
    hz = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, SAMPLE_RATE_HZ / 2, FFT_N // 2 + 1)[:, None]
    rise = (bins - hz[:-2]) / (hz[1:-1] - hz[:-2])
    fall = (hz[2:] - bins) / (hz[2:] - hz[1:-1])
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


_FILTERS = torch.from_numpy(mel_filters())
_WINDOW = np.hanning(FRAME_N + 1)[:-1].astype(np.float32) * (2 / FRAME_N)


@dataclass(frozen=True)
class MelState:
    """tail: samples still needed. peak: level in nats. context: float32 (24, 64) last frames."""

    tail: np.ndarray
    peak: float
    context: np.ndarray

    @classmethod
    def initial(cls) -> MelState:
        """Silence before the first sample."""
        context = np.full((CONTEXT_T, MELS), scale(np.array(-12.0)), np.float32)
        return cls(np.zeros(FRAME_N - STEP_N, np.float32), PEAK_FLOOR, context)


def sanitise(samples: np.ndarray) -> np.ndarray:
    """Float32 in [-1, 1]; NaN and infinities become 0, for they carry no sound."""
    samples = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(samples, -1.0, 1.0)


def log_mel(line: np.ndarray) -> np.ndarray:
    """float32 (N,) -> (T, 64) with T = (N - 240) // 160 complete frames."""
    if len(line) < FRAME_N:
        return np.zeros((0, MELS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(line, FRAME_N)[::STEP_N] * _WINDOW
    spectrum = rfft(frames, FFT_N)
    power = spectrum.real**2 + spectrum.imag**2
    # By torch, whose number of threads the process sets; NumPy's BLAS would start its own.
    mel = torch.from_numpy(power.astype(np.float32, copy=False)) @ _FILTERS
    return (mel + _FLOOR).log_().numpy()


def scale(x: np.ndarray) -> np.ndarray:
    """Nats relative to the peak level -> about [-2, 2]."""
    return (np.clip(x, -12.0, 4.0) + 5.0) / 3.5


def normalise(mel: np.ndarray, peak: float) -> tuple[np.ndarray, float]:
    """Take the followed peak out of (T, 64) frames; returns frames and the peak to go on with."""
    if len(mel) == 0:
        return mel, peak
    levels = mel.max(1) + _DECAY * np.arange(1, len(mel) + 1)
    followed = np.maximum(np.maximum.accumulate(levels), peak)
    followed = np.maximum(followed - _DECAY * np.arange(1, len(mel) + 1), PEAK_FLOOR)
    return scale(mel - followed[:, None]).astype(np.float32), float(followed[-1])


def step(state: MelState, samples: np.ndarray) -> tuple[MelState, np.ndarray]:
    """(N,) clean samples -> new state, float32 (24 + T, 64): context, then the new frames."""
    line = np.concatenate([state.tail, samples])
    mel = log_mel(line)
    frames, peak = normalise(mel, state.peak)
    window = np.concatenate([state.context, frames])
    tail = line[len(mel) * STEP_N :].copy()
    return MelState(tail, peak, window[-CONTEXT_T:]), window
