"""Scripted people for the tests: faces, voice-like sound and words on a common time line."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from models.types import SAMPLE_RATE_HZ, Hop, Text, WindowInput

HOP_NS = 500_000_000
START_NS = 7_000_000_000


@lru_cache(maxsize=8)
def vowel(seconds: float, seed: int = 0) -> np.ndarray:
    """A voice-like sound that the VAD takes for speech: a pulse train through two formants."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch = 130 + 25 * np.sin(2 * np.pi * 0.7 * t) + 6 * np.sin(2 * np.pi * 5 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    sound = np.zeros_like(t)
    first = 500 + 250 * np.sin(2 * np.pi * 1.8 * t)
    second = 1500 + 500 * np.sin(2 * np.pi * 1.3 * t)
    for k in range(1, 28):
        weight = np.exp(-(((k * pitch - first) / 150) ** 2)) + 0.5 * np.exp(
            -(((k * pitch - second) / 220) ** 2)
        )
        sound += (weight + 0.02) * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * t) * 3 + 1.5, 0, 1)
    return (0.12 * sound * syllables + rng.normal(0, 1e-3, len(t))).astype(np.float32)


def no_faces() -> np.ndarray:
    """A hop without a face."""
    return np.zeros((0, 48, 48), np.uint8)


def hop(index: int, **changes: object) -> Hop:
    """Hop `index` of a stream: two faces and half a second of voice, unless told otherwise."""
    rng = np.random.default_rng(index)
    span = int(HOP_NS * SAMPLE_RATE_HZ // 1_000_000_000)
    parts = {
        "start_ns": START_NS + index * HOP_NS,
        "end_ns": START_NS + (index + 1) * HOP_NS,
        "faces": rng.integers(0, 256, (2, 48, 48), dtype=np.uint8),
        "audio": vowel(6.0)[(index % 10) * span :][:span],
        "audio_coverage": 1.0,
        "texts": (),
    }
    return Hop(**(parts | changes))  # type: ignore[arg-type]


def says(index: int, text: str, seconds: float = 1.0) -> tuple[Text, ...]:
    """A text that begins with hop `index`."""
    start = START_NS + index * HOP_NS
    return (Text(start_ns=start, end_ns=start + int(seconds * 1e9), text=text),)


def windows(stream: str, hops: list[Hop], length: int = 4) -> list[WindowInput]:
    """The windows of `length` hops that a stream of hops makes: the first brings them all."""
    result = []
    for last in range(length - 1, len(hops)):
        new = hops[: last + 1] if last == length - 1 else hops[last : last + 1]
        first = hops[last - length + 1]
        result.append(
            WindowInput(
                stream=stream,
                start_ns=first.start_ns,
                end_ns=hops[last].end_ns,
                new_hops=tuple(new),
            )
        )
    return result
