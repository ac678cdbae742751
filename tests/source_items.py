"""What a source gave, sorted for a test's eyes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streaming.packets import Modality, Packet, Progress
from streaming.results import Health, HealthKind
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.base import Item, Source, due_ns
from streaming.sources.media import MediaSource

HOP_NS = 500_000_000
MS = 1_000_000


@dataclass
class Taken:
    """Everything one source gave, in order."""

    items: list[Item] = field(default_factory=list)

    def packets(self, modality: Modality) -> list[Packet]:
        return [i for i in self.items if isinstance(i, Packet) and i.modality is modality]

    @property
    def video(self) -> list[Packet]:
        return self.packets(Modality.VIDEO)

    @property
    def audio(self) -> list[Packet]:
        return self.packets(Modality.AUDIO)

    @property
    def text(self) -> list[Packet]:
        return self.packets(Modality.TEXT)

    @property
    def ends(self) -> dict[Modality, int]:
        return {i.modality: i.t_ns for i in self.items if isinstance(i, Progress) and i.ended}

    def health(self, kind: HealthKind | None = None) -> list[Health]:
        return [i for i in self.items if isinstance(i, Health) and kind in (None, i.kind)]

    @property
    def samples(self) -> np.ndarray:
        """All sound end to end, float32 (N,)."""
        return np.concatenate([p.payload.samples[:, 0] for p in self.audio] or [np.empty(0)])

    @property
    def in_order(self) -> bool:
        dues = [due_ns(i) for i in self.items]
        return dues == sorted(dues)

    def starts_ms(self, modality: Modality) -> list[int]:
        return [round(p.t_ns / MS) for p in self.packets(modality)]


def take(source: Source) -> Taken:
    return Taken(list(source.items()))


def open_media(path: Path | str, *, rate_hz: float = 4.0, **tracks: Any) -> MediaSource:
    return MediaSource(
        MediaSettings(url=str(path), **tracks),
        stream="s",
        vision=VisionSettings(rate_hz=rate_hz),
        hop_ns=HOP_NS,
    )


def take_media(path: Path | str, *, rate_hz: float = 4.0, **tracks: Any) -> Taken:
    return take(open_media(path, rate_hz=rate_hz, **tracks))
