"""A test card with a known truth: white flashes and beeps each second, and words with a mood.

Invariant: flash and beep number k begin at the same instant, k + 1 seconds, unless the settings
move the sound; each third of the scene says sentences of one mood.
"""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array, Int64Array, Uint8Array
from streaming.settings import AUDIO_RATE_HZ, VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.scene import Cue, SceneSource, Truth, dated_by_sound

WIDTH_PX, HEIGHT_PX = 320, 180
FLASH_NS = 100 * NS_PER_MS
BEEP_HZ, BEEP_S = 1000.0, 0.05
CUE_EVERY_NS = 2 * NS_PER_S
CUE_NS = 1500 * NS_PER_MS
MOODS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.0, ("The train leaves at nine.", "The table is in the next room.", "It is Tuesday.")),
    (0.8, ("This is wonderful, I love it!", "I am so happy today.", "Thank you, great work!")),
    (-0.8, ("This is terrible, I hate it.", "I am so sad and angry.", "What an awful day.")),
)


class CardScene:
    """The test card for `settings.duration_s`."""

    def __init__(self, settings: SyntheticSettings) -> None:
        self._end_ns = round(settings.duration_s * NS_PER_S)
        rng = np.random.default_rng(settings.seed)
        self._ground = rng.integers(40, 120, 3, dtype=np.uint8)
        marks = tuple(range(NS_PER_S, self._end_ns, NS_PER_S))
        self._starts = sample_starts(marks)
        self.sample_count = round(settings.duration_s * AUDIO_RATE_HZ)
        self.cues = tuple(self._cues(rng))
        self.truth = Truth(
            flashes_ns=marks,
            beeps_ns=tuple(dated_by_sound(t, settings) for t in marks),
            sentiment=tuple(
                (self._end_ns * i // 3, self._end_ns * (i + 1) // 3, mood)
                for i, (mood, _) in enumerate(MOODS)
            ),
        )

    def heard(self, start: int, stop: int) -> Float32Array:
        """Silence but for the beeps."""
        return beeps(self._starts, start, stop)

    def render(self, t_ns: int) -> Uint8Array:
        """A plain ground with a bar that goes once round in four seconds; white in a flash."""
        if t_ns >= NS_PER_S and t_ns % NS_PER_S < FLASH_NS:
            return np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
        pixels = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        pixels[:] = self._ground
        x = t_ns * WIDTH_PX // (4 * NS_PER_S) % WIDTH_PX
        pixels[:, x : x + 8] = 200
        return pixels

    def _cues(self, rng: np.random.Generator) -> list[Cue]:
        cues = []
        for start_ns in range(NS_PER_S // 2, self._end_ns, CUE_EVERY_NS):
            _, sentences = MOODS[start_ns * 3 // self._end_ns]
            text = sentences[int(rng.integers(len(sentences)))]
            length_ns = min(CUE_NS, self._end_ns - start_ns)
            cues.append(Cue(start_ns=start_ns, duration_ns=length_ns, text=text, speaker="card"))
        return cues


class SyntheticSource(SceneSource):
    """The test card as a source; `truth` says what is in it."""

    def __init__(
        self, settings: SyntheticSettings, *, stream: str, vision: VisionSettings, hop_ns: int
    ) -> None:
        super().__init__(CardScene(settings), settings, stream=stream, vision=vision, hop_ns=hop_ns)


def sample_starts(marks_ns: tuple[int, ...]) -> Int64Array:
    """The first sample of a beep at each of `marks_ns`: (N,)."""
    return np.array(marks_ns, np.int64) * AUDIO_RATE_HZ // NS_PER_S


def beeps(starts: Int64Array, start: int, stop: int) -> Float32Array:
    """Samples `start` to `stop`, silent but for a beep from each of `starts` on, in order."""
    samples = np.zeros(stop - start, np.float32)
    n = round(BEEP_S * AUDIO_RATE_HZ)
    tone = 0.5 * np.sin(2 * np.pi * BEEP_HZ * np.arange(n) / AUDIO_RATE_HZ)
    for at in starts[slice(*np.searchsorted(starts, (start - n + 1, stop)))].tolist():
        first, after = max(at, start), min(at + n, stop)
        samples[first - start : after - start] = tone[first - at : after - at]
    return samples


__all__ = ["CardScene", "SyntheticSource", "Truth"]
