"""What the live benchmark hears, sees and reads, as the world would bring it.

Sound is played into a PulseAudio server of its own, whose monitor is the microphone; pictures are
sent as MPEG-TS over UDP by a process that paces them by their own times; words are posted to the
WebSocket that Attune serves.

`python -m benchmarks.live_feeds CLIP URL` is the sender of pictures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.audio_server import AudioServer
from benchmarks.scene import RATE, WORDS

WORDS_EVERY_S = 1.0


@contextmanager
def heard(folder: Path, clip: Path) -> Iterator[dict[str, str]]:
    """The sound of `clip` at the microphone, over and over; the environment that hears it."""
    server = AudioServer(folder)
    server.start()
    stop = threading.Event()
    raw = folder / "sound.raw"
    raw.write_bytes(_samples(clip).tobytes())
    player = threading.Thread(target=_play, args=(server, raw, stop), daemon=True)
    player.start()
    try:
        yield server.env
    finally:
        stop.set()
        server.kill()
        player.join()


def _play(server: AudioServer, raw: Path, stop: threading.Event) -> None:
    form = ("--raw", f"--rate={RATE}", "--channels=1", "--format=s16le")
    quiet = subprocess.DEVNULL
    while not stop.is_set():
        subprocess.run(
            ["pacat", "--playback", *form, "--latency-msec=60", str(raw)],
            env=server.env,
            stdout=quiet,
            stderr=quiet,
            check=False,
        )


def _samples(clip: Path) -> np.ndarray:
    """int16 (N,), mono, at `RATE`."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(clip)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@contextmanager
def sent(clip: Path, url: str) -> Iterator[None]:
    """The pictures of `clip`, over and over, to `url`."""
    sender = subprocess.Popen([sys.executable, "-m", "benchmarks.live_feeds", str(clip), url])
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


def send(clip: Path, url: str) -> None:
    """Send without end: each packet when it is due, on one clock over all rounds."""
    with av.open(url, "w", format="mpegts", options={"flush_packets": "1"}) as out:
        track, begun_s, round_s = None, time.monotonic(), 0.0
        while True:
            with av.open(str(clip)) as container:
                video = container.streams.video[0]
                track = track or out.add_stream_from_template(video)
                ticks = round(round_s / video.time_base)
                for packet in container.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = (
                        packet.pts + ticks,
                        packet.dts + ticks,
                        track,
                    )
                    due_s = begun_s + float(packet.dts * packet.time_base)
                    time.sleep(max(due_s - time.monotonic(), 0))
                    out.mux(packet)
                round_s += float(video.duration * video.time_base)


@contextmanager
def said(address: str) -> Iterator[None]:
    """Words posted to the WebSocket at `address`, whenever somebody serves it."""
    stop = threading.Event()
    thread = threading.Thread(target=_say, args=(address, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _say(address: str, stop: threading.Event) -> None:
    number = 0
    while not stop.wait(WORDS_EVERY_S):
        with suppress(OSError, WebSocketException), connect(address) as client:
            while not stop.wait(WORDS_EVERY_S):
                number += 1
                message = {"text": WORDS[number % len(WORDS)], "speaker": "Eve"}
                client.send(json.dumps(message))
                client.recv(timeout=5)


if __name__ == "__main__":
    send(Path(sys.argv[1]), sys.argv[2])
