"""Engines: what turns the sound of one utterance into words. One protocol, two of them.

Invariant: engine packages are imported only when one of their kind is opened, and nothing is ever
fetched: a model is a folder on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from streaming.errors import UsageError
from streaming.packets import Float32Array
from streaming.settings import SpeechSettings


class EngineWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word; `start`, `end`: samples after the utterance's first."""

    text: str
    start: int
    end: int
    probability: float


class Engine(Protocol):
    """One utterance at a time: `begin`, `feed` as often as it takes, `finish`.

    `guess_every_ns`: after how much more sound another look at an open utterance is worth it.
    """

    guess_every_ns: int

    def begin(self) -> None:
        """A new utterance."""
        ...

    def feed(self, samples: Float32Array) -> None:
        """More of it: float32 (N,) at 16 kHz."""
        ...

    def guess(self) -> list[EngineWord]:
        """The words so far; they may change."""
        ...

    def finish(self) -> list[EngineWord]:
        """The words of the whole utterance."""
        ...


def open_engine(settings: SpeechSettings) -> Engine:
    """The engine that `settings` name, its model loaded; `UsageError` where that fails."""
    if settings.engine == "pocketsphinx":
        from streaming.speech.pocketsphinx_engine import PocketsphinxEngine

        return PocketsphinxEngine(settings)
    from streaming.speech.whisper_engine import WhisperEngine

    return WhisperEngine(settings)


def missing_package(engine: str, extra: str) -> UsageError:
    """The complaint that an engine's package is not installed."""
    return UsageError(
        f"speech_to_text: engine {engine} expects its package, which is not installed; "
        f"run pip install 'attune[{extra}]'"
    )


def require_folder(settings: SpeechSettings, holds: str) -> Path:
    """`settings.model` as a folder; `holds`: what is expected in it."""
    if not settings.model:
        raise UsageError(
            f"speech_to_text: {settings.engine} for language {settings.language!r} expects in "
            f"speech_to_text.model the path of a folder with {holds}; nothing is downloaded"
        )
    folder = Path(settings.model)
    if not folder.is_dir():
        raise UsageError(
            f"speech_to_text: model {folder} is not a folder; expected one with {holds}"
        )
    return folder
