"""Whisper by faster-whisper (CTranslate2): a folder with a converted model, never a download.

Whisper reads an utterance as a whole, in a frame of 30 s, so each guess costs as much as the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.packets import Float32Array
from streaming.settings import AUDIO_RATE_HZ, SpeechSettings
from streaming.speech.engine import EngineWord, missing_package, require_folder

FILES = ("model.bin", "config.json", "tokenizer.json")
HOLDS = f"a Whisper model converted for CTranslate2 ({', '.join(FILES)})"
BEAM = 5  # the usual width; a guess takes the likeliest word only


class WhisperEngine:
    """A model on the CPU, on one thread."""

    guess_every_ns = 2 * NS_PER_S

    def __init__(self, settings: SpeechSettings) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise missing_package("faster-whisper", "whisper") from None
        folder = require_folder(settings, HOLDS)
        # Without its tokenizer the library would ask the network for one.
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise UsageError(
                f"speech_to_text: model {folder} has no {missing[0]}; expected {HOLDS}"
            )
        try:
            self._model: Any = WhisperModel(
                str(folder), device="cpu", cpu_threads=1, local_files_only=True
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"speech_to_text: model {folder} cannot be loaded: {error}; expected {HOLDS}"
            ) from None
        self._language = settings.language
        self._parts: list[Float32Array] = []

    def begin(self) -> None:
        """A new utterance."""
        self._parts = []

    def feed(self, samples: Float32Array) -> None:
        """More of it: float32 (N,) at 16 kHz."""
        self._parts.append(samples)

    def guess(self) -> list[EngineWord]:
        """The words so far; they may change."""
        return self._read(beam=1)

    def finish(self) -> list[EngineWord]:
        """The words of the whole utterance."""
        return self._read(beam=BEAM)

    def _read(self, beam: int) -> list[EngineWord]:
        segments, _ = self._model.transcribe(
            np.concatenate(self._parts),
            language=self._language,
            beam_size=beam,
            temperature=0.0,  # no sampling: the same sound gives the same words
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        return [
            EngineWord(
                text=word.word.strip(),
                start=round(word.start * AUDIO_RATE_HZ),
                end=round(word.end * AUDIO_RATE_HZ),
                probability=min(max(float(word.probability), 0.0), 1.0),
            )
            for segment in segments
            for word in segment.words or ()
            if word.word.strip()
        ]
