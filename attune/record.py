"""`attune record`: a run that is also written down, so that it can be replayed.

Invariant: pictures, sound and words are kept only when asked for; addresses are kept without the
passwords in them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from attune import __version__
from streaming.clock import SystemClock
from streaming.errors import UsageError
from streaming.health import SCHEMA
from streaming.redact import redacted_tree
from streaming.settings import AttuneSettings
from streaming.sinks import Sink

if TYPE_CHECKING:
    from actors.recording import RecordedAlign


class Recorder:
    """What a run needs to be recorded at `path`; nothing is opened before `begin`."""

    def __init__(self, path: Path, *, keep_media: bool) -> None:
        self._path = path
        self._keep_media = keep_media
        self.sinks: tuple[Sink, ...] = ()

    def begin(self, settings: AttuneSettings, model: str) -> RecordedAlign:
        """Open the recording; the aligner's stage that fills it."""
        from actors.recording import RecordedAlign
        from streaming.sinks.recording import RecordingWriter

        if settings.vision.mouth_hz and not self._keep_media:
            raise UsageError(
                "vision.mouth_hz: what it takes of mouths and voices could tell what was said, so "
                "it is only recorded with --keep-media; add that, or leave vision.mouth_hz at 0"
            )
        writer = RecordingWriter(self._path, about(settings, model, keep_media=self._keep_media))
        self.sinks = (writer,)
        clock = SystemClock()
        return RecordedAlign(
            settings.windows, clock, writer, keep_media=self._keep_media, sync=settings.sync
        )


def about(settings: AttuneSettings, model: str, *, keep_media: bool) -> dict[str, str]:
    """What is to be known of a session before it is replayed."""
    return {
        "attune": __version__,
        "schema": SCHEMA,
        "begun_unix_ns": str(time.time_ns()),
        "model": model,
        "keep_media": "yes" if keep_media else "no",
        "settings": msgspec.json.encode(redacted_tree(msgspec.to_builtins(settings))).decode(),
    }
