"""What cameras and microphones there are, asked without noise.

Invariant: asking opens nothing it can avoid opening, and what the devices' libraries would
print on stderr does not get there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from streaming.errors import SourceError

MAX_CAMERAS = 10
PORTAUDIO_MISSING = (
    "microphone: the PortAudio library is missing; install it "
    "(Debian, Ubuntu: sudo apt install libportaudio2)"
)


def list_devices() -> list[tuple[str, int, str, str]]:
    """What there is, as (kind, index, name, detail); kind is "camera" or "microphone"."""
    return _cameras() + _microphones()


def _cameras() -> list[tuple[str, int, str, str]]:
    if sys.platform.startswith("linux"):
        found = []
        for entry in sorted(Path("/sys/class/video4linux").glob("video*")):
            index = entry.name.removeprefix("video")
            if index.isdigit() and (entry / "name").exists():
                name = (entry / "name").read_text().strip()
                found.append(("camera", int(index), name, f"/dev/{entry.name}"))
        return found
    with quiet():
        return [("camera", i, f"camera {i}", "OpenCV") for i in range(MAX_CAMERAS) if _opens(i)]


def _opens(index: int) -> bool:
    camera = cv2.VideoCapture(index)
    try:
        return bool(camera.isOpened())
    finally:
        camera.release()


def _microphones() -> list[tuple[str, int, str, str]]:
    try:
        with quiet():
            devices = list(portaudio().query_devices())
    except SourceError:
        return []
    return [
        (
            "microphone",
            int(d["index"]),
            str(d["name"]),
            f"{d['max_input_channels']} ch, {d['default_samplerate']:.0f} Hz",
        )
        for d in devices
        if d["max_input_channels"] > 0
    ]


def there_are(kind: str) -> str:
    """One sentence with the devices of `kind`, for the end of an error message."""
    names = [f"{index}: {name}" for k, index, name, _ in list_devices() if k == kind]
    return f"This machine has {', '.join(names)}." if names else f"This machine has no {kind}."


def portaudio() -> Any:
    """The `sounddevice` module."""
    try:
        import sounddevice
    except OSError as error:
        raise SourceError(PORTAUDIO_MISSING) from error
    return sounddevice


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C libraries write to stderr to nowhere for a moment."""
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
