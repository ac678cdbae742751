"""From settings to a source: the one place that knows all kinds.

Invariant: device and demo libraries are imported only when a source of their kind is opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from streaming.packets import Modality
from streaming.settings import VisionSettings
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    SourceSettings,
    SyntheticSettings,
    TextSettings,
)
from streaming.sources.base import Source
from streaming.sources.marking import MarkedSource


def open_source(
    settings: SourceSettings, *, stream: str, vision: VisionSettings, hop_ns: int
) -> Source:
    """Open what `settings` describe; `SourceError` with one clear line where that fails."""
    source = _opened(settings, stream, vision, hop_ns)
    if (vision.light_hz or vision.mouth_hz) and Modality.AUDIO in source.modalities:
        return MarkedSource(source, voice=vision.mouth_hz > 0)
    return source


def close_sources(sources: Sequence[Source]) -> None:
    """Close each of them; none is read afterwards."""
    for source in sources:
        source.close()


def _opened(settings: SourceSettings, stream: str, vision: VisionSettings, hop_ns: int) -> Source:
    match settings:
        case MediaSettings(is_live=True):
            from streaming.sources.network import NetworkSource

            return NetworkSource(settings, stream=stream, vision=vision, hop_ns=hop_ns)
        case MediaSettings():
            from streaming.sources.media import MediaSource

            return MediaSource(settings, stream=stream, vision=vision, hop_ns=hop_ns)
        case TextSettings(is_address=True):
            from streaming.sources.text_feed import TextFeed

            return TextFeed(settings, stream=stream)
        case TextSettings():
            from streaming.sources.text import TextSource

            return TextSource(settings, stream=stream)
        case SyntheticSettings(scene="portrait"):
            from streaming.sources.portrait import PortraitSource

            return PortraitSource(settings, stream=stream, vision=vision, hop_ns=hop_ns)
        case SyntheticSettings(scene="sync"):
            from streaming.sources.sync_card import SyncCardSource

            return SyncCardSource(settings, stream=stream, vision=vision, hop_ns=hop_ns)
        case SyntheticSettings():
            from streaming.sources.synthetic import SyntheticSource

            return SyntheticSource(settings, stream=stream, vision=vision, hop_ns=hop_ns)
        case CameraSettings():
            from streaming.sources.camera import CameraSource

            return CameraSource(settings, stream=stream, vision=vision)
        case MicrophoneSettings():
            from streaming.sources.microphone import MicrophoneSource

            return MicrophoneSource(settings, stream=stream, hop_ns=hop_ns)
