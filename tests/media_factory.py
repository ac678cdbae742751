"""Small media files with known contents, made with PyAV: no ffmpeg binary is needed.

Picture `n` of a clip is a plain grey of brightness `grey(n)`, so a test can tell which picture it
was given; the sound is a 440 Hz tone of half amplitude.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet

TONE_HZ = 440.0
MS = Fraction(1, 1000)
ENCRYPTION = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}
SCRIPT = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    b"Style: Default,Arial,16\n\n[Events]\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
Samples = Callable[[np.ndarray], np.ndarray]  # seconds (N,) to samples (N,)


@dataclass(frozen=True)
class Captions:
    """One track of captions. `cues`: start and end in ms, and the words, in SSA's markup."""

    cues: Sequence[tuple[int, int, str]]
    codec: str = "subrip"
    language: str = ""
    forced: bool = False
    speaker: str = ""


def grey(n: int) -> int:
    """Brightness of picture `n`, 0..255; neighbours differ by far more than a codec's error."""
    return (n * 37) % 200 + 20


def tone(t: np.ndarray) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * TONE_HZ * t)


def write_clip(
    path: Path,
    *,
    fps: int = 25,
    frames: int | None = None,
    seconds: float = 2.0,
    size: tuple[int, int] = (64, 48),
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    video_ms: Sequence[int] | None = None,
    video: bool = True,
    audio: bool = True,
    audio_codec: str = "aac",
    audio_rate: int = 48_000,
    layout: str = "mono",
    audio_ms: Sequence[tuple[int, int]] | None = None,
    sound: Samples = tone,
    captions: Sequence[Captions] = (),
    keys_every: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip of `seconds`.

    `video_ms`: presentation times of the pictures instead of a regular `fps`.
    `audio_ms`: spans (start, end) that have sound instead of all of it.
    `captions`: tracks of them. `keys_every`: pictures from one key picture to the next,
    also where pictures differ much.
    """
    container = av.open(str(path), "w", options=options or {})
    tracks = []
    if video:
        count = round(seconds * fps) if frames is None else frames
        times, base = (video_ms, MS) if video_ms is not None else (range(count), Fraction(1, fps))
        tracks.append(_pictures(container, codec, fps, size, pix_fmt, times, base, keys_every))
    if audio:
        spans = list(audio_ms) if audio_ms is not None else [(0, round(seconds * 1000))]
        tracks.append(_sound(container, audio_codec, audio_rate, layout, spans, sound))
    tracks += [_captions(container, track) for track in captions]
    packets = [packet for track in tracks for packet in track()]
    for _, packet in sorted(packets, key=lambda p: p[0]):
        container.mux(packet)
    container.close()
    return path


def _pictures(container, codec, fps, size, pix_fmt, times, base, keys_every):
    stream = container.add_stream(codec, rate=fps)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.codec_context.time_base = base
    stream.codec_context.gop_size = keys_every or 10
    if keys_every:
        stream.options = {"sc_threshold": "0" if codec == "libx264" else "1000000000"}

    def encode():
        for n, t in enumerate(times):
            picture = np.full((size[1], size[0], 3), grey(n), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = t, base
            yield from _timed(stream.encode(frame))
        yield from _timed(stream.encode(None))

    return encode


def _sound(container, codec, rate, layout, spans_ms, sound):
    stream = container.add_stream(codec, rate=rate, layout=layout)
    context = stream.codec_context
    form = context.format.name
    channels = len(av.AudioLayout(layout).channels)

    def encode():
        step = context.frame_size or 1024
        for start_ms, end_ms in spans_ms:
            first, last = start_ms * rate // 1000, end_ms * rate // 1000
            for at in range(first, last, step):
                n = min(step, last - at)
                values = sound(np.arange(at, at + n) / rate)
                frame = _audio_frame(values, form, layout, channels)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                yield from _timed(stream.encode(frame))
        yield from _timed(stream.encode(None))

    return encode


def _captions(container, captions):
    stream = container.add_stream(captions.codec)
    stream.codec_context.subtitle_header = SCRIPT
    if captions.language:
        stream.metadata["language"] = captions.language
    stream.disposition = Disposition.forced if captions.forced else Disposition(0)

    def encode():
        for n, (start, end, text) in enumerate(captions.cues):
            line = f"{n},0,Default,{captions.speaker},0,0,0,,{text}".encode()
            entry = SubtitleSet.create(line, 0, end - start, start)
            packet = stream.codec_context.encode_subtitle(entry)
            packet.stream, packet.time_base = stream, MS
            packet.pts = packet.dts = start
            packet.duration = end - start
            yield from _timed([packet])

    return encode


def _audio_frame(values, form, layout, channels):
    scaled = {
        "s16": lambda v: (v * 32767).astype(np.int16),
        "s32": lambda v: (v * (2**31 - 1)).astype(np.int32),
        "u8": lambda v: (v * 127 + 128).astype(np.uint8),
        "flt": lambda v: v.astype(np.float32),
        "dbl": lambda v: v.astype(np.float64),
    }[form.removesuffix("p")](values)
    if form.endswith("p"):
        data = np.tile(scaled, (channels, 1))
    else:
        data = np.repeat(scaled, channels)[None]
    return av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=form, layout=layout)


def _timed(packets):
    for packet in packets:
        yield (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base, packet
