"""Acted speech as log-mel frames with the probability of speech, decoded once into a cache.

Traps handled here: stereo files are mixed down, "calm" counts as neutral, leading silence is left
to the voice activity detector.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from models import features
from models.errors import DataError
from models.labels import SPEECH_TO_EMOTION, emotion_index
from models.train.loop import progress_bar
from models.types import SAMPLE_RATE_HZ
from models.vad import SileroVad, VadState


@dataclass(frozen=True, kw_only=True)
class Clip:
    """mel: float32 (T, 64) in nats, not normalised; speech: float32 (T,); label: 0..6."""

    path: str
    corpus: str
    speaker: str
    label: int
    mel: np.ndarray
    speech: np.ndarray


def decode(path: Path) -> np.ndarray:
    """Any sound file -> float32 (N,) mono at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        parts = [
            out.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _analyse(samples: np.ndarray, vad: SileroVad) -> tuple[np.ndarray, np.ndarray]:
    line = np.concatenate([np.zeros(features.FRAME_N - features.STEP_N, np.float32), samples])
    mel = features.log_mel(features.sanitise(line))
    _, speech = vad.step(VadState.initial(), samples)
    which = np.minimum(np.arange(len(mel)) * features.STEP_N // 512, max(len(speech) - 1, 0))
    return mel, speech[which] if len(speech) else np.zeros(len(mel), np.float32)


def _build(data: Path, rows: list[dict[str, str]], cache: Path) -> None:
    vad, mels, speeches = SileroVad(), [], []
    with progress_bar() as bar:
        task = bar.add_task("decode speech", total=len(rows), note="")
        for row in rows:
            mel, speech = _analyse(decode(data / row["path"]), vad)
            mels.append(mel.astype(np.float16))
            speeches.append(speech.astype(np.float16))
            bar.advance(task)
    ends = np.cumsum([len(m) for m in mels])
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, mel=np.concatenate(mels), speech=np.concatenate(speeches), ends=ends)


def load_speech(data: Path, split: str, cache: Path, limit: int | None = None) -> list[Clip]:
    """The clips of one split ("train" or "valid"); `limit` takes every k-th for a quick look."""
    manifest = data / "speech" / "manifest.csv"
    if not manifest.exists():
        raise DataError(f"expected the speech manifest at {manifest}, found nothing: see --data")
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if limit is not None:
        rows = rows[:: max(1, len(rows) // limit)]
    store = cache / f"speech-{split}-{len(rows)}.npz"
    if not store.exists():
        _build(data, rows, store)
    with np.load(store) as archive:
        mel = archive["mel"].astype(np.float32)
        speech, ends = archive["speech"].astype(np.float32), archive["ends"]
    starts = [0, *ends[:-1]]
    return [
        Clip(
            path=row["path"], corpus=row["corpus"], speaker=row["speaker"],
            label=emotion_index(SPEECH_TO_EMOTION[row["emotion"]]),
            mel=mel[a:b], speech=speech[a:b],
        )
        for row, a, b in zip(rows, starts, ends, strict=True)
    ]  # fmt: skip
