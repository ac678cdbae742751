"""ESC-10 (Piczak 2015, "ESC: dataset for environmental sound classification") as log-mel frames.

Each clip is decoded once and kept at several speeds, for changes of pitch and pace in training.
What is none of the ten sounds is made of speech, low rumble and silence, so that a voice in a quiet
room is called "other", not a baby.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from models import features
from models.data.free_speech import load_free
from models.data.speech import decode
from models.errors import DataError
from models.labels import SOUND_OTHER, SOUNDS
from models.types import SAMPLE_RATE_HZ

CLASSES = (*SOUNDS, SOUND_OTHER)
OTHER = len(SOUNDS)
SPEEDS = ((1, 1), (5, 6), (11, 12), (12, 11), (6, 5))  # played so much faster
CLIP_S = 5
SPEECH_N = {"train": 320, "valid": 200}
RUMBLES_N = 40


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One clip. mels: float16 (T, 64) in nats at each of SPEEDS; label: 0..10; fold: 1..5, 0."""

    name: str
    label: int
    fold: int
    mels: tuple[np.ndarray, ...]


def log_mel(samples: np.ndarray) -> np.ndarray:
    """float32 (N,) at 16 kHz -> float32 (T, 64) in nats, one frame for each 10 ms begun."""
    pad = np.zeros(features.FRAME_N - features.STEP_N, np.float32)
    return features.log_mel(np.concatenate([pad, features.sanitise(samples)]))


def load_sounds(data: Path, cache: Path) -> list[Sound]:
    """The clips that `events/manifest.csv` lists, in its order."""
    manifest = data / "events" / "manifest.csv"
    if not manifest.exists():
        raise DataError(f"expected the manifest of sounds at {manifest}, found nothing: see --data")
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DataError(f"{manifest}: expected clips, found none")
    missing = {"path", "label", "fold"} - set(rows[0])
    if missing:
        raise DataError(f"{manifest}: expected columns path, label and fold; no {min(missing)}")
    unknown = [row["label"] for row in rows if row["label"] not in SOUNDS]
    if unknown:
        raise DataError(f"{manifest}: expected labels of {', '.join(SOUNDS)}; got {unknown[0]!r}")
    mels = _cached(data, [row["path"] for row in rows], SPEEDS, cache)
    return [
        Sound(name=row["path"], label=SOUNDS.index(row["label"]), fold=int(row["fold"]), mels=mel)
        for row, mel in zip(rows, mels, strict=True)
    ]


def load_voices(data: Path, split: str, cache: Path) -> list[Sound]:
    """Speech of one split as "other": some clips of it, chosen by the hash of their names."""
    manifest = data / "speech" / "manifest.csv"
    if not manifest.exists():
        raise DataError(f"expected the speech manifest at {manifest}, found nothing: see --data")
    with manifest.open(newline="") as file:
        names = [row["path"] for row in csv.DictReader(file) if row["split"] == split]
    names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    names = names[: SPEECH_N[split]]
    mels = _cached(data, names, SPEEDS[:1], cache)
    return [
        Sound(name=name, label=OTHER, fold=0, mels=mel)
        for name, mel in zip(names, mels, strict=True)
    ]


def free_voices(data: Path, split: str, cache: Path) -> list[Sound]:
    """Free speech as "other", chosen likewise."""
    clips = load_free(data, split, cache)
    clips.sort(key=lambda clip: hashlib.sha256(clip.path.encode()).hexdigest())
    return [
        Sound(name=clip.path, label=OTHER, fold=0, mels=(clip.mel.astype(np.float16),))
        for clip in clips[: SPEECH_N[split]]
    ]


VOICES = {"acted": load_voices, "free": free_voices}


def rumbles(seed: int = 0) -> list[Sound]:
    """Silence, and low noise of spectra that fall with 6 to 12 dB per octave."""
    rng = np.random.default_rng(seed)
    n = CLIP_S * SAMPLE_RATE_HZ
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    sounds = []
    for i in range(RUMBLES_N):
        level = 0.0 if i % 4 == 0 else 10 ** rng.uniform(-4, -1.5)
        shape = np.maximum(hz, 40.0) ** -rng.uniform(1.0, 2.0)
        noise = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * shape, n)
        line = (level * noise / np.abs(noise).max()).astype(np.float32)
        mel = log_mel(line).astype(np.float16)
        sounds.append(Sound(name=f"rumble-{i}", label=OTHER, fold=0, mels=(mel,)))
    return sounds


def _cached(
    data: Path, names: list[str], speeds: tuple[tuple[int, int], ...], cache: Path
) -> list[tuple[np.ndarray, ...]]:
    """Frames of each clip at each speed, decoded on the first call."""
    key = hashlib.sha256(repr((str(data.resolve()), names, speeds)).encode()).hexdigest()[:16]
    store = cache / f"sounds-{key}.npz"
    if not store.exists():
        lines = [decode(data / name) for name in names]
        mels = [log_mel(_faster(x, up, down)).astype(np.float16) for x in lines
                for up, down in speeds]  # fmt: skip
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(store, mel=np.concatenate(mels), ends=np.cumsum([len(m) for m in mels]))
    with np.load(store) as archive:
        mels = np.split(archive["mel"], archive["ends"][:-1])
    n = len(speeds)
    return [tuple(mels[i : i + n]) for i in range(0, len(mels), n)]


def _faster(samples: np.ndarray, up: int, down: int) -> np.ndarray:
    """Play up / down times as fast, so as much higher too."""
    if up == down:
        return samples
    return resample_poly(samples, down, up).astype(np.float32)
