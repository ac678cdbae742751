"""Acted speech as log-mel frames with the probability of speech, decoded once into a cache.

Traps handled here: stereo files are mixed down, "calm" counts as neutral, leading silence is left
to the voice activity detector.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from models import features
from models.errors import DataError
from models.labels import SPEECH_TO_EMOTION, emotion_index
from models.train.progress import progress_bar
from models.types import SAMPLE_RATE_HZ
from models.vad import SileroVad, VadState


@dataclass(frozen=True, kw_only=True)
class Clip:
    """mel: float32 (T, 64) in nats, not normalised; speech: float32 (T,); label: 0..6.

    emotion: the corpus's own name of it, one of eight. sex: "female", "male" or "" if unknown.
    """

    path: str
    corpus: str
    speaker: str
    label: int
    mel: np.ndarray
    speech: np.ndarray
    emotion: str = "neutral"
    language: str = ""
    sex: str = ""


# Speakers of our own test part: taken out of the manifest's training split, never trained on.
TEST_SPEAKERS = ("ravdess-16", "ravdess-17", "nemo-EB0", "emodb-14")
_EMODB_MEN = ("03", "10", "11", "12", "15")  # as the corpus's own description lists them


def sex_of(speaker: str) -> str:
    """RAVDESS: odd actors are men. EMO-DB: by its list. nEMO: not told by its names."""
    corpus, _, name = speaker.partition("-")
    if corpus == "ravdess":
        return "male" if int(name) % 2 else "female"
    if corpus == "emodb":
        return "male" if name in _EMODB_MEN else "female"
    return ""


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


def analyse(samples: np.ndarray, vad: SileroVad) -> tuple[np.ndarray, np.ndarray]:
    """float32 (N,) at 16 kHz -> frames (T, 64) in nats and the probability of speech (T,)."""
    line = np.concatenate([np.zeros(features.FRAME_N - features.STEP_N, np.float32), samples])
    mel = features.log_mel(features.sanitise(line))
    _, speech = vad.step(VadState.initial(), samples)
    which = np.minimum(np.arange(len(mel)) * features.STEP_N // 512, max(len(speech) - 1, 0))
    return mel, speech[which] if len(speech) else np.zeros(len(mel), np.float32)


def _marks() -> str:
    """What the front end makes of a fixed sound: another front end, another cache."""
    probe = np.sin(np.arange(SAMPLE_RATE_HZ, dtype=np.float32) ** 1.3 / 99) * np.linspace(
        0, 1, 16_000
    )
    mel = features.log_mel(probe.astype(np.float32)).round(2)
    return hashlib.sha256(mel.tobytes()).hexdigest()[:12]


def analysed(
    data: Path, names: list[str], kind: str, cache: Path, longest_n: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames and probabilities of speech, float32, of each file; decoded on the first call only."""
    store = cache / f"{kind}-{len(names)}-{_marks()}.npz"
    if not store.exists():
        _build([data / name for name in names], store, longest_n)
    with np.load(store) as archive:
        mel = archive["mel"].astype(np.float32)
        speech, ends = archive["speech"].astype(np.float32), archive["ends"]
    starts = [0, *ends[:-1]]
    return [(mel[a:b], speech[a:b]) for a, b in zip(starts, ends, strict=True)]


def _build(paths: list[Path], store: Path, longest_n: int | None) -> None:
    vad, mels, speeches = SileroVad(), [], []
    with progress_bar() as bar:
        task = bar.add_task("decode speech", total=len(paths), note="")
        for path in paths:
            mel, speech = analyse(decode(path)[:longest_n], vad)
            mels.append(mel.astype(np.float16))
            speeches.append(speech.astype(np.float16))
            bar.advance(task)
    ends = np.cumsum([len(m) for m in mels])
    store.parent.mkdir(parents=True, exist_ok=True)
    np.savez(store, mel=np.concatenate(mels), speech=np.concatenate(speeches), ends=ends)


def load_speech(data: Path, split: str, cache: Path, limit: int | None = None) -> list[Clip]:
    """The clips of one split; `limit` takes every k-th for a quick look.

    "valid" is the manifest's; "train" is the manifest's without TEST_SPEAKERS; "test" is those.
    """
    stored = "train" if split == "test" else split
    manifest = data / "speech" / "manifest.csv"
    if not manifest.exists():
        raise DataError(f"expected the speech manifest at {manifest}, found nothing: see --data")
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == stored]
    if limit is not None:
        rows = rows[:: max(1, len(rows) // limit)]
    heard = analysed(data, [row["path"] for row in rows], f"speech-{stored}", cache)
    clips = [
        Clip(
            path=row["path"], corpus=row["corpus"], speaker=row["speaker"],
            label=emotion_index(SPEECH_TO_EMOTION[row["emotion"]]),
            mel=mel, speech=speech, emotion=row["emotion"], language=row["language"],
            sex=sex_of(row["speaker"]),
        )
        for row, (mel, speech) in zip(rows, heard, strict=True)
    ]  # fmt: skip
    return clips if split == "valid" else [
        clip for clip in clips if (clip.speaker in TEST_SPEAKERS) == (split == "test")
    ]  # fmt: skip
