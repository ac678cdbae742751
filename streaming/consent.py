"""Consent: nobody is looked at or listened to live without somebody saying that they agreed.

Files, typed words and generated scenes need none here: who has a recording answers for it.
Invariant: no live source of people is opened without `consent: true` on its stream.
"""

from __future__ import annotations

from streaming.errors import UsageError
from streaming.settings import StreamSettings
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    SourceSettings,
    TextSettings,
)


def require_consent(stream: StreamSettings) -> None:
    """Refuse a stream that watches people live without their consent. Raises UsageError."""
    watched = [name for source in stream.sources if (name := _live(source))]
    if watched and not stream.consent:
        raise UsageError(
            f"stream {stream.name!r}: expected consent: true, for it takes in people live "
            f"({', '.join(watched)}): ask those concerned, then set it on the stream or give "
            "--consent"
        )


def taken_in(stream: StreamSettings) -> str:
    """The kinds of its sources, for the audit log."""
    return ", ".join(str(source.__struct_config__.tag) for source in stream.sources)


def _live(source: SourceSettings) -> str:
    """What kind of live source of people this is; empty for none."""
    match source:
        case CameraSettings():
            return "a camera"
        case MicrophoneSettings():
            return "a microphone"
        case MediaSettings(url=url) if url.startswith("/dev/"):
            return "a device"
        case MediaSettings(url=url) if "://" in url and not url.lower().startswith("file://"):
            return "an address on a network"
        case TextSettings(is_address=True):
            return "an address of words"
        case _:
            return ""
