"""A sound server of the test's own: PulseAudio with a null sink whose monitor is a microphone."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

ASOUND = """
pcm_type.pulse { lib "libasound_module_pcm_pulse.so" }
pcm.room { type pulse hint { show on description "room" } }
pcm.!default { type pulse hint { show on description "default" } }
"""
RATE_HZ = 48_000
CLICK = 96  # samples


class AudioServer:
    """PulseAudio in `folder`, not in anybody's session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        (folder / "asound.conf").write_text(ASOUND)
        self.env = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
            "ALSA_CONFIG_PATH": f"{folder}/asound.conf",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "native").unlink(missing_ok=True)
        modules = (
            f"module-native-protocol-unix auth-anonymous=1 socket={self.folder}/native",
            f"module-null-sink sink_name=speaker rate={RATE_HZ} channels=1",
            "module-remap-source master=speaker.monitor source_name=mic",
        )
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        self.process = subprocess.Popen(
            [*command, *(part for m in modules for part in ("-L", m))],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            if self.pactl("set-default-source", "mic") == 0:
                return
            time.sleep(0.05)
        raise AssertionError("PulseAudio did not answer within 5 s")

    def pactl(self, *arguments: str) -> int:
        quiet = subprocess.DEVNULL
        return subprocess.call(["pactl", *arguments], env=self.env, stdout=quiet, stderr=quiet)

    def kill(self) -> None:
        """As a crash: no goodbye to anyone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(5)
            self.process = None


class ClickPlayer:
    """Plays a click every `every_s`; the server says when each of them is heard.

    pacat prints the server's own playback time ten or more times a second. The median of
    (now - playback time) around a click says where the stream's zero stood by then.
    """

    def __init__(self, server: AudioServer, *, seconds: float, every_s: float) -> None:
        sound = np.zeros(int(seconds * RATE_HZ), np.int16)
        self.at_s = np.arange(every_s, seconds, every_s)
        for at_s in self.at_s:
            sound[int(at_s * RATE_HZ) : int(at_s * RATE_HZ) + CLICK] = 20_000
        path = server.folder / "clicks.raw"
        path.write_bytes(sound.tobytes())
        form = ("--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le")
        self._process = subprocess.Popen(
            ["pacat", "--playback", *form, "--verbose", "--latency-msec=60", str(path)],
            env=server.env | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._began: list[tuple[float, int]] = []  # playback time, and where its zero was
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        while data := os.read(self._process.stderr.fileno(), 4096):
            now_ns = time.monotonic_ns()
            for played_s in re.findall(rb"Time: ([0-9.]+) sec", data):
                if float(played_s) > 1:  # the figure needs a moment to settle
                    self._began.append((float(played_s), now_ns - round(float(played_s) * 1e9)))

    def truth_ns(self) -> np.ndarray:
        """When each click sounded, by the server's figure, once all were played."""
        self._process.wait(60)
        self._reader.join(5)
        played_s, began_ns = np.array(self._began, np.float64).T
        near = [np.argsort(np.abs(played_s - at_s))[:10] for at_s in self.at_s]
        return np.array([np.median(began_ns[n]) for n in near]) + self.at_s * 1e9

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(5)
