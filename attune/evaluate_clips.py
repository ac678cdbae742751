"""Clips through the whole inline pipeline: faces, sound and transcript to fused windows.

A clip's emotions and sentiment are the means over its windows that held enough evidence.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import av
import msgspec
import numpy as np

from actors.inline import InlinePipeline
from actors.warmup import load_analyser, warm_aligner
from models.analyser import Analyser
from models.errors import ChoiceError, DataError
from models.evaluate.clips import LabelledClip
from models.evaluate.sheet import Progress
from models.types import EMOTIONS
from streaming.results import Result, Status
from streaming.settings import (
    AttuneSettings,
    ModelSettings,
    OutputSettings,
    PipelineSettings,
    StreamSettings,
)
from streaming.sinks import MemorySink
from streaming.source_settings import MediaSettings, TextSettings

MAX_WORDS_S = 30.0  # the longest that one line of text may last


class Pipeline:
    """The analyser of a weights folder, behind sources, aligner and windows."""

    def __init__(self, folder: str | None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise ChoiceError(f"no weights folder {folder!r}; give the folder of a training")
        self._model = ModelSettings(path=folder or "", device="cpu")
        self._analyser: Analyser = load_analyser(self._model)
        warm_aligner()

    def predict(
        self, clips: Sequence[LabelledClip], progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """Emotions (N, 7) and sentiment (N,), NaN where no window held enough evidence."""
        emotions = np.full((len(clips), len(EMOTIONS)), np.nan)
        sentiment = np.full(len(clips), np.nan)
        for i, clip in enumerate(clips):
            progress("clips", i, len(clips))
            results = self.results(clip)
            named = [[r.emotions[e] for e in EMOTIONS] for r in results if r.emotions is not None]
            scores = [r.sentiment.score for r in results if r.sentiment is not None]
            if named:
                emotions[i] = np.mean(named, 0) / np.mean(named, 0).sum()
            if scores:
                sentiment[i] = np.mean(scores)
        progress("clips", len(clips), len(clips))
        return emotions, sentiment

    def results(self, clip: LabelledClip) -> list[Result]:
        """What the pipeline publishes for one clip, window by window."""
        sink = MemorySink()
        with tempfile.TemporaryDirectory() as folder:
            settings = _settings(clip, self._model, Path(folder))
            report = InlinePipeline(settings, self._analyser, [sink]).run(threading.Event())
        if report.failures:
            raise DataError(f"{clip.path}: {report.failures[0]}")
        found = [m for m in sink.messages() if isinstance(m, Result)]
        return [r for r in found if r.status is not Status.PROVISIONAL]


def _settings(clip: LabelledClip, model: ModelSettings, folder: Path) -> AttuneSettings:
    """As fast as possible, everything waited for, nothing published."""
    media = MediaSettings(url=str(clip.path.absolute()))
    sources: tuple[MediaSettings | TextSettings, ...] = (media,)
    if clip.text.strip():
        line = {"t": 0.0, "duration": min(_seconds(clip.path), MAX_WORDS_S), "text": clip.text}
        words = folder / "transcript.jsonl"
        words.write_text(json.dumps(line) + "\n", encoding="utf-8")
        sources = (media, TextSettings(path=str(words)))
    return msgspec.structs.replace(
        AttuneSettings(),
        streams=(StreamSettings(name="clip", sources=sources),),
        model=model,
        pipeline=PipelineSettings(runtime="inline", pace="fast", ingest_workers=1),
        output=OutputSettings(publish="", file=""),
    )


def _seconds(path: Path) -> float:
    """Length as the container states it."""
    try:
        with av.open(str(path)) as container:
            if container.duration is None:
                return MAX_WORDS_S
            return float(container.duration / 1_000_000)
    except (OSError, ValueError) as error:  # PyAV's errors derive from these
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected a media file, got {reason}") from error
