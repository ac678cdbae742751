"""Speech to text on real speech: errors, delay, cost.

    python -m benchmarks.speech_to_text [--engine pocketsphinx] [--model FOLDER] [--data FOLDER]

Clips go through the recogniser as a stream would bring them: 100 ms at a time, each followed by
0.8 s of silence. Errors by jiwer, without case and punctuation. Delay: from the end of a word to
the answer with its final text, as if sound came in real time and one core did nothing else;
a chunk is begun when it is in and the one before is done. Cost: CPU seconds for a second of sound.
Nothing was chosen by these clips.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import jiwer
import numpy as np

from actors.speech_worker import open_transcriber
from benchmarks.report import show, write
from streaming.clock import NS_PER_S
from streaming.settings import SpeechSettings
from streaming.speech.recogniser import Outcome
from streaming.speech.transcriber import Transcriber

RATE_HZ = 16_000
CHUNK_N = RATE_HZ // 10
TAIL_N = RATE_HZ * 8 // 10
PEAK = 0.5  # of full scale; some corpora are very quiet
TIDY = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.Strip()])


class Heard(NamedTuple):
    """What came of a clip. `delays_s`: of each final word."""

    words: str
    delays_s: list[float]
    cpu_s: float
    sound_s: float


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="pocketsphinx")
    parser.add_argument("--model", default="")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, default=1, help="only every n-th clip of a corpus")
    options = parser.parse_args()
    recogniser = open_transcriber(SpeechSettings(engine=options.engine, model=options.model))
    rows = [
        measure(recogniser, name, clips[:: options.every])
        for name, clips in corpora(options.data).items()
    ]
    show(f"speech to text: {options.engine}", rows)
    write("speech_to_text", {"engine": options.engine, "rows": rows})


def corpora(data: Path) -> dict[str, list[tuple[Path, str]]]:
    """Clips of real speech with what was said."""
    labels = json.loads((data / "media/labels.json").read_text())
    with (data / "speech/manifest.csv").open(encoding="utf-8") as lines:
        acted = [r for r in csv.DictReader(lines) if r["corpus"] == "ravdess"]
    unseen = [r for r in acted if r["split"] == "valid"]
    return {
        "GRID, commands": [(data / f"media/{k}.mp4", v["text"]) for k, v in labels.items()],
        "RAVDESS, neutral and calm": _clips(data, [r for r in unseen if _is_even(r)]),
        "RAVDESS, other emotions": _clips(data, [r for r in unseen if not _is_even(r)]),
    }


def _is_even(row: dict[str, str]) -> bool:
    return row["emotion"] in ("neutral", "calm")


def _clips(data: Path, rows: list[dict[str, str]]) -> list[tuple[Path, str]]:
    return [(data / row["path"], row["text"]) for row in rows]


def measure(recogniser: Transcriber, name: str, clips: list[tuple[Path, str]]) -> dict[str, Any]:
    """One row of the table."""
    heard = [listen(recogniser, sound(path), i) for i, (path, _) in enumerate(clips)]
    said = [TIDY(text) for _, text in clips]
    errors = jiwer.process_words(said, [TIDY(h.words) for h in heard])
    delays = [d for h in heard for d in h.delays_s] or [float("nan")]
    return {
        "speech": name,
        "clips": len(clips),
        "words": sum(len(text.split()) for text in said),
        "word error rate": round(errors.wer, 3),
        "substituted": errors.substitutions,
        "left out": errors.deletions,
        "put in": errors.insertions,
        "delay p50 s": round(float(np.percentile(delays, 50)), 2),
        "delay p95 s": round(float(np.percentile(delays, 95)), 2),
        "CPU s per s": round(sum(h.cpu_s for h in heard) / sum(h.sound_s for h in heard), 2),
    }


def listen(recogniser: Transcriber, samples: np.ndarray, number: int) -> Heard:
    """One clip, in real time by a clock that is reckoned; clips are a minute apart."""
    begin_ns = number * 60 * NS_PER_S
    free_s, cpu_s, words, delays = 0.0, 0.0, [], []
    for at, outcome, took_s in _answers(recogniser, samples, begin_ns):
        free_s = max(free_s, at / RATE_HZ) + took_s
        cpu_s += took_s
        for word in (w for h in outcome.heard if h.is_final for w in h.words):
            words.append(word.text)
            delays.append(free_s - (word.end_ns - begin_ns) / NS_PER_S)
    return Heard(" ".join(words), delays, cpu_s, len(samples) / RATE_HZ)


def _answers(
    recogniser: Transcriber, samples: np.ndarray, begin_ns: int
) -> Iterator[tuple[int, Outcome, float]]:
    """Samples in so far, what is answered to them, CPU seconds."""
    for at in range(0, len(samples), CHUNK_N):
        chunk = samples[at : at + CHUNK_N]
        began_s = time.process_time()
        outcome = recogniser.feed(begin_ns + at * NS_PER_S // RATE_HZ, chunk)
        yield at + len(chunk), outcome, time.process_time() - began_s
    began_s = time.process_time()
    yield len(samples), recogniser.end(), time.process_time() - began_s


def sound(path: Path) -> np.ndarray:
    """16 kHz mono float32, brought to one peak, with silence behind it."""
    with av.open(str(path)) as container:
        swr = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frames = [f for frame in container.decode(audio=0) for f in swr.resample(frame)]
        frames += swr.resample(None)
    line = np.concatenate([f.to_ndarray()[0] for f in frames])
    line = line * (PEAK / max(float(np.abs(line).max()), 1e-4))
    return np.concatenate([line, np.zeros(TAIL_N)]).astype(np.float32)


if __name__ == "__main__":
    main()
