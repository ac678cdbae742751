"""The kinds of stream that Attune fuses."""

from __future__ import annotations

from enum import StrEnum


class Modality(StrEnum):
    """Named by what the sensor delivers."""

    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"
