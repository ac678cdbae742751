"""The demo scene: a portrait that moves, a voice that speaks, and the words it says.

Nothing is downloaded: the portrait (NASA, public domain) comes in scikit-image's wheel and the
voice from espeak-ng. Invariant: `truth` is taken from what was really rendered and synthesised.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import msgspec
import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.errors import SourceError
from streaming.packets import Float32Array, Uint8Array
from streaming.settings import AUDIO_RATE_HZ, VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.espeak import speak
from streaming.sources.scene import Cue, SceneSource, Span, Truth

WIDTH_PX, HEIGHT_PX = 640, 360
LOOP_NS = 20 * NS_PER_S
ABSENT_NS = (10_000 * NS_PER_MS, 12_500 * NS_PER_MS)  # nobody in the picture
FACE_XY = (222.0, 115.0)  # middle of the face in the portrait, px
ROOM_NOISE = 3e-4
VOICE = "en-us+f3"
FRAME_N = 160  # 10 ms
SPEECH_FLOOR = 0.01  # RMS of a frame that counts as speech
PAUSE_NS = 300 * NS_PER_MS  # a shorter silence belongs to the speech around it


class Line(msgspec.Struct, frozen=True):
    """One sentence of the script: when, what, and how it is spoken."""

    start_ms: int
    text: str
    mood: float
    rate_wpm: int = 165
    pitch: int = 45
    pitch_range: int = 60


SCRIPT = (
    Line(600, "Good morning. The meeting is at ten o'clock.", 0.0),
    Line(3600, "The papers are on the table.", 0.0),
    Line(6700, "This is wonderful news, I am so happy!", 0.8, 175, 60, 90),
    Line(9700, "Thank you so much, I love it. Great work!", 0.8, 175, 60, 90),
    Line(13500, "No, this is terrible. I am really angry.", -0.8, 155, 35, 70),
    Line(17000, "I hate this. Everything went wrong.", -0.8, 150, 30, 60),
)
ARC_MS = ((0, 6500, 0.0), (6500, 13_000, 0.8), (13_000, 20_000, -0.8))  # start, end, mood


class PortraitScene:
    """The script, looped for `settings.duration_s`."""

    def __init__(self, settings: SyntheticSettings) -> None:
        self._portrait = portrait()
        self._empty = _empty_room()
        end_ns = round(settings.duration_s * NS_PER_S)
        rng = np.random.default_rng(settings.seed)
        count = round(settings.duration_s * AUDIO_RATE_HZ)
        voice = np.zeros(count, np.float32)
        cues: list[Cue] = []
        for loop_ns in range(0, end_ns, LOOP_NS):
            for line in SCRIPT:
                cues += _say(line, loop_ns, voice)
        self.cues = tuple(cues)
        noise = ROOM_NOISE * rng.standard_normal(count).astype(np.float32)
        self._samples: Float32Array = np.clip(voice + noise, -1, 1)
        self.sample_count = count
        self.truth = Truth(
            sentiment=_clipped_arc(end_ns),
            faces=_present(end_ns),
            speech=speech_spans(voice),
        )

    def heard(self, start: int, stop: int) -> Float32Array:
        """The voice in a quiet room."""
        return self._samples[start:stop]

    def render(self, t_ns: int) -> Uint8Array:
        """The portrait as a slow camera and a changing light show it."""
        at_ns = t_ns % LOOP_NS
        if ABSENT_NS[0] <= at_ns < ABSENT_NS[1]:
            return self._empty.copy()
        t = at_ns / NS_PER_S
        zoom = 1.25 + 0.2 * np.sin(2 * np.pi * t / 11)
        x = WIDTH_PX * (0.5 + 0.08 * np.sin(2 * np.pi * t / 7))
        y = HEIGHT_PX * (0.45 + 0.04 * np.sin(2 * np.pi * t / 5))
        light = 1.0 + 0.15 * np.sin(2 * np.pi * t / 9)
        move = np.array([[zoom, 0, x - zoom * FACE_XY[0]], [0, zoom, y - zoom * FACE_XY[1]]])
        shown = cv2.warpAffine(
            self._portrait, move, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(cv2.convertScaleAbs(shown, alpha=light), dtype=np.uint8)


class PortraitSource(SceneSource):
    """The demo scene as a source; `truth` says what is in it."""

    def __init__(
        self, settings: SyntheticSettings, *, stream: str, vision: VisionSettings, hop_ns: int
    ) -> None:
        super().__init__(
            PortraitScene(settings), settings, stream=stream, vision=vision, hop_ns=hop_ns
        )


@lru_cache(maxsize=1)
def portrait() -> Uint8Array:
    """scikit-image's portrait of an astronaut: uint8 RGB (512, 512, 3)."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise SourceError(
            "portrait scene: scikit-image is not installed; run: pip install 'attune[demo]'"
        ) from error
    return np.ascontiguousarray(astronaut(), dtype=np.uint8)


def speech_spans(samples: Float32Array) -> tuple[Span, ...]:
    """Where `samples` (N,) at 16 kHz have the energy of speech, pauses under 0.3 s bridged."""
    frames = samples[: len(samples) // FRAME_N * FRAME_N].reshape(-1, FRAME_N)
    loud = np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > SPEECH_FLOOR)
    frame_ns = FRAME_N * NS_PER_S // AUDIO_RATE_HZ
    spans: list[Span] = []
    for frame in loud.tolist():
        start_ns, end_ns = frame * frame_ns, (frame + 1) * frame_ns
        if spans and start_ns - spans[-1][1] < PAUSE_NS:
            spans[-1] = (spans[-1][0], end_ns)
        else:
            spans.append((start_ns, end_ns))
    return tuple(spans)


def _say(line: Line, loop_ns: int, voice: Float32Array) -> list[Cue]:
    """Put one sentence into `voice`; its cue, if any of it falls within."""
    start_ns = loop_ns + line.start_ms * NS_PER_MS
    start = start_ns * AUDIO_RATE_HZ // NS_PER_S
    if start >= len(voice):
        return []
    spoken = speak(line.text, VOICE, line.rate_wpm, line.pitch, line.pitch_range)
    part = voice[start : start + len(spoken)]
    part += spoken[: len(part)]
    duration_ns = len(part) * NS_PER_S // AUDIO_RATE_HZ
    return [Cue(start_ns=start_ns, duration_ns=duration_ns, text=line.text, speaker="Eileen")]


def _clipped_arc(end_ns: int) -> tuple[tuple[int, int, float], ...]:
    return tuple(
        (loop + a * NS_PER_MS, min(loop + b * NS_PER_MS, end_ns), mood)
        for loop in range(0, end_ns, LOOP_NS)
        for a, b, mood in ARC_MS
        if loop + a * NS_PER_MS < end_ns
    )


def _present(end_ns: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    for loop in range(0, end_ns, LOOP_NS):
        for a, b in ((0, ABSENT_NS[0]), (ABSENT_NS[1], LOOP_NS)):
            start, stop = loop + a, min(loop + b, end_ns)
            if start >= end_ns:
                continue
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((start, stop))
    return tuple(spans)


def _empty_room() -> Uint8Array:
    """A plain wall, lighter towards the top."""
    rows = np.linspace(150, 90, HEIGHT_PX).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None, None], (HEIGHT_PX, WIDTH_PX, 3)))
