"""Whether a stream can have words made of its sound, and the recogniser that makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from actors.speech_kept import KeptRecogniser
from streaming.clock import Clock
from streaming.errors import UsageError
from streaming.packets import Modality
from streaming.settings import AttuneSettings, SpeechSettings, StreamSettings
from streaming.sources.base import Source
from streaming.speech.recogniser import Recogniser

Opener = Callable[[SpeechSettings], Recogniser]


def open_speech(
    stream: StreamSettings,
    settings: AttuneSettings,
    sources: Sequence[Source],
    opener: Opener,
    clock: Clock,
) -> KeptRecogniser | None:
    """What makes words of the sound of `sources`; None where none is asked for."""
    if stream.speech_to_text is None:
        return None
    require_sound(stream.name, {m for source in sources for m in source.modalities})
    require_time(stream.name, settings)
    speech = stream.speech_to_text
    restarts = settings.pipeline.restarts
    return KeptRecogniser(partial(opener, speech), restarts, clock, language=speech.language)


def require_sound(stream: str, modalities: set[Modality]) -> None:
    """Sound and no words from elsewhere. Raises UsageError."""
    if Modality.AUDIO not in modalities:
        raise UsageError(
            f"stream {stream!r}: speech_to_text expects sound, but none of its sources has any; "
            "leave out speech_to_text, or give the stream a source with sound"
        )
    if Modality.TEXT in modalities:
        raise UsageError(
            f"stream {stream!r}: text comes from a source and from speech_to_text; leave out one "
            "of them, or give it a stream of its own"
        )


def require_time(stream: str, settings: AttuneSettings) -> None:
    """In real time windows that can be revised. Raises UsageError."""
    if settings.pipeline.pace == "realtime" and settings.windows.revise_ms == 0:
        raise UsageError(
            f"stream {stream!r}: speech_to_text expects windows.revise_ms above 0, for words "
            "come later than the sound they are made of; give --set windows.revise_ms=10000"
        )
