"""Live sources that can be killed and started again, each behind the real source that reads it.

To add one: a class with `settings`, `modality`, `start` and `kill`, and its line in `stands`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

from benchmarks.audio_server import AudioServer
from benchmarks.live_stand import EVERY_S, WORDS
from benchmarks.network_servers import (
    Server,
    has_ffmpeg,
    has_rtsp_server,
    hls,
    make_card,
    rtmp,
    rtsp,
    udp,
)
from streaming.packets import Modality
from streaming.settings import StreamSettings
from streaming.source_settings import (
    CameraSettings,
    MicrophoneSettings,
    SourceSettings,
    TextSettings,
)


class Stand(Protocol):
    """Something that a source reads. `settings`: how it is read."""

    settings: SourceSettings
    modality: Modality

    def start(self) -> None:
        """Return once it can be reached."""
        ...

    def kill(self) -> None:
        """As by a crash or a pulled plug: no goodbye."""
        ...


class ProcessStand:
    """A process of `benchmarks.live_stand`."""

    def __init__(self, kind: str, port: int, settings: SourceSettings, modality: Modality) -> None:
        self.settings, self.modality = settings, modality
        self._command = [sys.executable, "-m", "benchmarks.live_stand", kind, str(port)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """See `Stand`."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{self._command} did not start")

    def kill(self) -> None:
        """See `Stand`."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class FileStand:
    """A file to which words are appended; killed, it is gone and nothing is written."""

    modality = Modality.TEXT

    def __init__(self, path: Path) -> None:
        self.settings = TextSettings(path=str(path), follow=True)
        self._path = path
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See `Stand`."""
        self._stop = threading.Event()
        self._path.write_text("")
        self._thread = threading.Thread(target=self._write, args=(self._stop,), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """See `Stand`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._path.unlink(missing_ok=True)

    def _write(self, stop: threading.Event) -> None:
        number = 0
        with self._path.open("a") as file:
            while not stop.wait(EVERY_S):
                file.write(f"{WORDS[number % len(WORDS)]}\n")
                file.flush()
                number += 1


class MicrophoneStand:
    """PulseAudio with a monitor as microphone; killed is the whole server.

    A null sink gives nothing in the first two seconds of its life: it is back once anybody hears
    something. Silence is played into it in small pieces.
    """

    modality = Modality.AUDIO
    settings = MicrophoneSettings(device="room")

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._server = AudioServer(folder)
        os.environ.update(self._server.env)  # PortAudio and ALSA look here once, when they begin
        self._player: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """See `Stand`."""
        self._server.start()
        self._player = subprocess.Popen(
            ["pacat", "--playback", "--raw", "--latency-msec=20", "/dev/zero"],
            env=self._server.env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        listener = subprocess.Popen(
            ["parec", "--raw", "--latency-msec=20", "--device=mic"],
            env=self._server.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert listener.stdout is not None
        listener.stdout.read(1)
        listener.kill()
        listener.communicate()

    def kill(self) -> None:
        """See `Stand`."""
        self._server.kill()
        if self._player is not None:
            self._player.kill()
            self._player.wait(5)


class NetworkStand:
    """A server of pictures and sound."""

    modality = Modality.VIDEO

    def __init__(self, server: Server) -> None:
        self.settings = server.settings
        self._server = server

    def start(self) -> None:
        """See `Stand`."""
        self._server.start()

    def kill(self) -> None:
        """See `Stand`."""
        self._server.kill()


def stands(folder: Path) -> dict[str, Stand]:
    """All kinds that can be had on this machine, by name; none is started."""
    zmq, websocket, camera = free_ports(3)
    text = Modality.TEXT
    found: dict[str, Stand] = {
        "growing file": FileStand(folder / "words.txt"),
        "ZeroMQ": ProcessStand(
            "zmq", zmq, TextSettings(path=f"zmq+sub://127.0.0.1:{zmq}/chat"), text
        ),
        "WebSocket": ProcessStand(
            "websocket", websocket, TextSettings(path=f"ws://127.0.0.1:{websocket}/"), text
        ),
        "camera": ProcessStand(
            "camera",
            camera,
            CameraSettings(device=f"http://127.0.0.1:{camera}/"),
            Modality.VIDEO,
        ),
    }
    if shutil.which("pulseaudio"):
        found["microphone"] = MicrophoneStand(folder / "sound")
    if has_ffmpeg():
        card = make_card(folder / "card.mp4", 60)
        found |= {"UDP": NetworkStand(udp(card)), "RTMP": NetworkStand(rtmp(card))}
        found["HLS"] = NetworkStand(hls(card))
        if has_rtsp_server():
            found["RTSP"] = NetworkStand(rtsp(card))
    return found


def stream_of(name: str, stand: Stand) -> StreamSettings:
    """A stream with nothing but this source."""
    return StreamSettings(name=name.replace(" ", "-"), sources=(stand.settings,), consent=True)


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that nobody serves now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
