"""CMU-MOSI: sentiment in [-3, 3] of the utterances of a video, causal over its earlier ones.

The measures are those of MMSA (Mao et al. 2022, "M-SENA: an integrated platform for multimodal
sentiment analysis"): MAE, Pearson r, Acc-2 and F1 with and without zeros, Acc-7, Acc-5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models import score_metrics
from models.bootstrap import Figure
from models.data.mosi import REQUIRED, Segments, find, held_out, load_mosi
from models.errors import DataError
from models.evaluate.files import choose, existing, read_arrays
from models.evaluate.sheet import Answers, Asked, Sheet

FORMATS = ("mosi",)
LIMIT = 3.0
FIGURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mae": score_metrics.mae,
    "pearson_r": score_metrics.pearson_r,
    "ccc": score_metrics.ccc,
    "acc2_negative_nonnegative": partial(score_metrics.acc2, zeros=True),
    "acc2_negative_positive": partial(score_metrics.acc2, zeros=False),
    "f1_negative_nonnegative": partial(score_metrics.f1_2, zeros=True),
    "f1_negative_positive": partial(score_metrics.f1_2, zeros=False),
    "acc7": score_metrics.acc7,
    "acc5": score_metrics.acc5,
}


def read(path: Path, asked: Asked) -> Sheet:
    """An npz with text, sentiment, video_id, segment, audio_opensmile73 and perhaps split."""
    file = find(existing(path) if path.is_file() or not path.exists() else path)
    arrays = read_arrays(file, REQUIRED)
    audio = arrays["audio_opensmile73"]
    if audio.dtype.kind == "f" and np.isinf(audio).any():
        row = int(np.isinf(audio).reshape(len(audio), -1).any(1).argmax())
        raise DataError(
            f"{file}, row {row}: expected finite audio_opensmile73 (NaN where unknown), "
            "got infinity"
        )
    everything = load_mosi(file)
    splits = everything.split.tolist() if "split" in arrays else None
    own = np.array([held_out(video) for video in everything.video], bool)
    own &= everything.split == "train"
    chosen = choose(file, splits, len(everything), asked.split, own)
    segments = everything.take(chosen.rows)
    if len(segments) == 0:
        raise DataError(f"{file}: expected rows in the split, got none")
    silent = int(np.isnan(segments.audio).any(1).sum())
    return Sheet(
        task="mosi", path=file, form="mosi", n=len(segments), split=chosen.split,
        described=chosen.described, classes=(),
        answer=lambda model: _answer(model, segments, asked),
        clusters=segments.video, cluster="video",
        notes=(f"{silent} utterances have audio features that are not known (NaN)",)
        if silent else (),
        trained_on=chosen.trained,
    )  # fmt: skip


def _answer(model: Any, segments: Segments, asked: Asked) -> Answers:
    videos = segments.videos()
    asked.progress("videos", 0, len(videos))
    said = model.predict([segments.take(rows) for rows in videos])
    asked.progress("videos", len(videos), len(videos))
    guess = np.full(len(segments), np.nan)
    low, high = np.full(len(segments), np.nan), np.full(len(segments), np.nan)
    for rows, values in zip(videos, said, strict=True):
        guess[rows] = np.asarray(values, np.float64)
    if not np.isfinite(guess).all() or np.abs(guess).max() > LIMIT + 1e-6:
        row = int((~(np.abs(guess) <= LIMIT + 1e-6)).argmax())
        raise DataError(f"mosi: expected scores in [-3, 3] from the predictor, got {guess[row]}")
    target = segments.sentiment.astype(np.float64)
    figures: dict[str, Figure] = {
        name: (lambda i, f=figure: f(guess[i], target[i]))  # type: ignore[misc]
        for name, figure in FIGURES.items()
    }
    if hasattr(model, "interval"):
        for rows in videos:
            low[rows], high[rows] = model.interval(segments.take(rows))
        figures |= _interval_figures(low, high, target)
    return Answers(figures=figures, abstained=np.zeros(len(guess), bool))


def _interval_figures(low: np.ndarray, high: np.ndarray, target: np.ndarray) -> dict[str, Figure]:
    return {
        "interval_coverage": lambda i: score_metrics.interval_coverage(low[i], high[i], target[i]),
        "interval_width": lambda i: score_metrics.interval_width(low[i], high[i]),
    }
