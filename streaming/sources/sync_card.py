"""A test card for sound beside picture: flashes and beeps that no camera's pictures keep step with.

Invariant: flash and beep number k begin at the same instant, between k + 1 and k + 1.1 seconds,
unless the settings move the sound; a picture shows what its exposure gathered.
"""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array, Modality, Uint8Array
from streaming.settings import AUDIO_RATE_HZ, VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.scene import Cue, SceneSource, Truth, dated_by_sound
from streaming.sources.synthetic import HEIGHT_PX, WIDTH_PX, beeps, sample_starts

FLASH_NS = 120 * NS_PER_MS
EXPOSURE_NS = 10 * NS_PER_MS
WANDER_NS = 100 * NS_PER_MS
DARK, BRIGHT = 60, 230
GOLDEN = 0.618034  # steps of this share fill an interval evenly


class SyncCardScene:
    """The card for `settings.duration_s`; nothing is said on it."""

    cues: tuple[Cue, ...] = ()

    def __init__(self, settings: SyntheticSettings) -> None:
        count = int(settings.duration_s) - 1
        wander = np.modf(np.arange(count) * GOLDEN + settings.seed / np.pi)[0] * WANDER_NS
        marks = tuple((k + 1) * NS_PER_S + int(by) for k, by in enumerate(wander))
        self._marks = np.array(marks, np.int64)
        self._starts = sample_starts(marks)
        self.sample_count = round(settings.duration_s * AUDIO_RATE_HZ)
        self.truth = Truth(
            flashes_ns=marks, beeps_ns=tuple(dated_by_sound(t, settings) for t in marks)
        )

    def heard(self, start: int, stop: int) -> Float32Array:
        """Silence but for the beeps."""
        return beeps(self._starts, start, stop)

    def render(self, t_ns: int) -> Uint8Array:
        """An even grey, by how much of the exposure around `t_ns` lies in a flash."""
        begin_ns, end_ns = t_ns - EXPOSURE_NS // 2, t_ns + EXPOSURE_NS // 2
        lit_ns = np.minimum(end_ns, self._marks + FLASH_NS) - np.maximum(begin_ns, self._marks)
        share = np.maximum(lit_ns, 0).sum() / EXPOSURE_NS
        grey = round(DARK + (BRIGHT - DARK) * share)
        return np.full((HEIGHT_PX, WIDTH_PX, 3), grey, np.uint8)


class SyncCardSource(SceneSource):
    """The card as a source; `truth` says when flashes and beeps begin."""

    modalities: tuple[Modality, ...] = (Modality.VIDEO, Modality.AUDIO)

    def __init__(
        self, settings: SyntheticSettings, *, stream: str, vision: VisionSettings, hop_ns: int
    ) -> None:
        scene = SyncCardScene(settings)
        super().__init__(scene, settings, stream=stream, vision=vision, hop_ns=hop_ns)
