"""A camera and a microphone before flashes and beeps, with every time known."""

from __future__ import annotations

import msgspec
import numpy as np

from streaming.clock import NS_PER_S
from streaming.sync.marks import FlashFinder, OnsetFinder, Span

RATE_HZ = 16_000
FLASH_S, BEEP_S = 0.1, 0.05


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures are dated mid-exposure, with an error of up to `jitter_s`, which it states."""

    fps: float = 25.0
    phase_s: float = 0.0
    exposure: float = 0.5  # share of the time from picture to picture
    jitter_s: float = 0.0
    loss: float = 0.0
    bright: float = 200.0
    seed: int = 0

    def flashes(self, lit_s: list[float], end_s: float) -> list[Span]:
        """What `FlashFinder` makes of its pictures, widened by the stated error."""
        rng, finder, found = np.random.default_rng(self.seed), FlashFinder(), []
        slack_ns = round(self.jitter_s * NS_PER_S)
        for i in range(int(end_s * self.fps)):
            t_s = self.phase_s + i / self.fps
            level = 50 + (self.bright - 50) * self._lit(t_s, lit_s) + rng.normal(0, 0.5)
            stamp_s = t_s + rng.uniform(-1, 1) * self.jitter_s
            if rng.random() >= self.loss:
                found.append(finder.take(round(stamp_s * NS_PER_S), level))
        return [(a - slack_ns, b + slack_ns) for a, b in filter(None, found)]

    def _lit(self, t_s: float, lit_s: list[float]) -> float:
        half_s = self.exposure / self.fps / 2
        return sum(
            max(0.0, min(t_s + half_s, at + FLASH_S) - max(t_s - half_s, at)) for at in lit_s
        ) / (2 * half_s)


def sound(beeps_s: list[float], end_s: float, *, noise: float = 1e-3, seed: int = 0) -> np.ndarray:
    """(N, 1) at 16 kHz."""
    samples = np.random.default_rng(seed).normal(0, noise, round(end_s * RATE_HZ))
    n = round(BEEP_S * RATE_HZ)
    for at in beeps_s:
        start = round(at * RATE_HZ)
        part = samples[start : start + n]
        part += 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(part)) / RATE_HZ)
    return samples.astype(np.float32)[:, None]


def onsets(samples: np.ndarray, chunk: int = 1600, zero_ns: int = 0) -> list[Span]:
    """What `OnsetFinder` makes of it, a chunk at a time."""
    finder = OnsetFinder(RATE_HZ)
    return [
        span
        for start in range(0, len(samples), chunk)
        for span in finder.take(
            zero_ns + start * NS_PER_S // RATE_HZ, samples[start : start + chunk]
        )
    ]
