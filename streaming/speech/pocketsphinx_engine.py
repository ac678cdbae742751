"""CMU PocketSphinx: works offline from its package, which holds a model of US English.

Small and quick, and often wrong (docs/speech-to-text.md says how often).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from streaming.clock import NS_PER_MS
from streaming.errors import UsageError
from streaming.packets import Float32Array
from streaming.settings import AUDIO_RATE_HZ, SpeechSettings
from streaming.speech.engine import EngineWord, missing_package, require_folder

log = logging.getLogger(__name__)

FRAME_N = AUDIO_RATE_HZ // 100  # a frame of the decoder
HOLDS = "an acoustic model (a folder with mdef), one *.lm.bin and one *.dict"


class PocketsphinxEngine:
    """The package's decoder. It searches while it is fed, so the words are there at the end."""

    guess_every_ns = 500 * NS_PER_MS

    def __init__(self, settings: SpeechSettings) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise missing_package("pocketsphinx", "speech") from None
        try:
            self._decoder: Any = Decoder(loglevel="FATAL", **_model(settings))
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"speech_to_text: model {settings.model} cannot be loaded: {error}; "
                f"expected {HOLDS}"
            ) from None

    def begin(self) -> None:
        """A new utterance."""
        self._decoder.start_utt()

    def feed(self, samples: Float32Array) -> None:
        """More of it: float32 (N,) at 16 kHz."""
        pcm = np.clip(samples * 32767.0, -32768, 32767).astype("<i2")
        self._decoder.process_raw(pcm.tobytes())

    def guess(self) -> list[EngineWord]:
        """The words so far; they may change."""
        return self._words(final=False)

    def finish(self) -> list[EngineWord]:
        """The words of the whole utterance."""
        self._decoder.end_utt()
        return self._words(final=True)

    def _words(self, *, final: bool) -> list[EngineWord]:
        if self._decoder.hyp() is None:  # nothing was said, and asking for segments would fail
            return []
        return [
            EngineWord(
                text=_plain(segment.word),
                start=segment.start_frame * FRAME_N,
                end=(segment.end_frame + 1) * FRAME_N,
                probability=min(max(float(segment.prob), 0.0), 1.0) if final else 0.0,
            )
            for segment in self._decoder.seg() or ()
            if _is_word(segment.word)
        ]


def _is_word(entry: str) -> bool:
    """Whether an entry of the dictionary is a word; `<sil>`, `[NOISE]` and their like are not."""
    return not entry.startswith(("<", "["))


def _plain(entry: str) -> str:
    """`to(3)`, the third way to say "to", is "to"."""
    return entry.partition("(")[0]


def _model(settings: SpeechSettings) -> dict[str, str]:
    """Paths of the model; none of them where the package's own is meant."""
    if not settings.model and settings.language == "en":
        return {}
    folder = require_folder(settings, HOLDS)
    return {
        "hmm": str(_only(folder, "**/mdef").parent),
        "lm": str(_only(folder, "*.lm.bin", but="phone")),
        "dict": str(_only(folder, "*.dict")),
    }


def _only(folder: Path, pattern: str, but: str = "/") -> Path:
    found = sorted(p for p in folder.glob(pattern) if but not in p.name)
    if len(found) != 1:
        raise UsageError(
            f"speech_to_text: model {folder}: expected one {pattern}, found {len(found)}; a model "
            f"for pocketsphinx is {HOLDS}"
        )
    return found[0]
