"""The clip that the stream benchmarks play: 640x360, 30 fps, H.264, AAC and words, made here.

A portrait that scikit-image ships moves over a plain ground; a buzz pulsed like syllables stands
for the voice. It costs what a real call costs: a face in every frame, sound without pause.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT, FPS = 640, 360, 30
SWAY_PX = 20  # as somebody sways who sits before a camera
RATE = 48_000
WORDS = ("this is really great", "i am not so sure", "what a terrible mess", "thank you all")


def make_clip(folder: Path, seconds: int, tune: str = "") -> tuple[Path, Path]:
    """Write `scene.mp4` and `scene.srt` into `folder`; their paths. `tune`: of x264."""
    options = {"preset": "veryfast", "g": "60"} | ({"tune": tune} if tune else {})
    clip, words = folder / "scene.mp4", folder / "scene.srt"
    with av.open(str(clip), "w") as out:
        video = out.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono")
        portrait = cv2.resize(data.astronaut(), (HEIGHT, HEIGHT))
        for i in range(seconds * FPS):
            frame = av.VideoFrame.from_ndarray(_picture(portrait, i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            out.mux(video.encode(frame))
            if i % FPS == 0:
                out.mux(audio.encode(_second_of_sound(i // FPS)))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    words.write_text(_captions(seconds))
    return clip, words


def repeat(clip: Path, times: int) -> Path:
    """`clip` played `times` over, as a list that FFmpeg's concat demuxer reads."""
    playlist = clip.with_suffix(".ffconcat")
    playlist.write_text("ffconcat version 1.0\n" + f"file {clip.name}\n" * times)
    return playlist


def _picture(portrait: np.ndarray, i: int) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    left = round((WIDTH - HEIGHT) / 2 + SWAY_PX * np.sin(i / FPS))
    picture[:, left : left + HEIGHT] = portrait
    return picture


def _second_of_sound(second: int) -> av.AudioFrame:
    t = second + np.arange(RATE) / RATE
    wave = np.sign(np.sin(2 * np.pi * 120 * t)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t)) * 0.2
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, second * RATE, Fraction(1, RATE)
    return frame


def _captions(seconds: int) -> str:
    cues = [
        f"{n + 1}\n00:{t // 60:02}:{t % 60:02},000 --> 00:{t // 60:02}:{t % 60:02},900\n"
        f"{WORDS[n % len(WORDS)]}\n"
        for n, t in enumerate(range(0, seconds, 2))
    ]
    return "\n".join(cues)
