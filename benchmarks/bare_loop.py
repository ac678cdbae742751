"""The yardstick of the stream benchmark: the same decoder, detector and nets, and nothing else.

One process after the other reads a clip as fast as it can: no pacing, no windows' watermarks, no
processes to cross, no messages. `python -m benchmarks.bare_loop CLIP` prints its seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import av
import numpy as np

from actors.warmup import load_analyser
from models.types import Hop, Text, WindowInput
from streaming.packets import FaceObservation, Modality, Packet, VideoFrame
from streaming.settings import FACE_GRID_HZ, ModelSettings, VisionSettings
from streaming.sources.faces import FaceReducer

HOP_S, HOPS = 0.5, 4
RATE = 16_000
NS = 1_000_000_000
SPENT = ("decode", "detection", "model")


def main() -> None:
    """Process the clip named on the command line; print seconds by part."""
    analyser = load_analyser(ModelSettings(device="cpu"))
    reducer = FaceReducer(VisionSettings())
    spent = dict.fromkeys(SPENT, 0.0)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    media_s = 0.0
    for faces, sound in hops(sys.argv[1], reducer, spent):
        at = time.thread_time()
        start_ns = round(media_s * NS)
        hop = Hop(
            start_ns=start_ns,
            end_ns=start_ns + round(HOP_S * NS),
            faces=np.stack(faces) if faces else np.empty((0, 48, 48), np.uint8),
            audio=sound,
            audio_coverage=1.0,
            texts=(Text(start_ns=start_ns, end_ns=start_ns + NS, text="this is really great"),)
            if media_s % 2 == 0
            else (),
        )
        first_ns = max(0, hop.end_ns - round(HOPS * HOP_S * NS))
        window = WindowInput(stream="s", start_ns=first_ns, end_ns=hop.end_ns, new_hops=(hop,))
        analyser.step([window])
        media_s += HOP_S
        spent["model"] += time.thread_time() - at
    wall_s = time.perf_counter() - started
    print(json.dumps({"media_s": media_s, "wall_s": wall_s, "cpu_s": spent}), flush=True)


def hops(
    clip: str, reducer: FaceReducer, spent: dict[str, float]
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Faces and samples of each hop."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    faces: list[np.ndarray] = []
    sound: list[np.ndarray] = []
    tick = looks = 0
    at = time.thread_time()
    with av.open(clip) as container:
        for frame in container.decode():
            if isinstance(frame, av.AudioFrame):
                sound += [f.to_ndarray()[0] for f in resampler.resample(frame)]
            elif frame.time is not None and frame.time >= tick / FACE_GRID_HZ:
                tick += 1
                pixels = frame.to_ndarray(format="rgb24")
                spent["decode"] += time.thread_time() - at
                at = time.thread_time()
                faces += _look(reducer, pixels, looks)
                looks += 1
                spent["detection"] += time.thread_time() - at
                at = time.thread_time()
            while sum(map(len, sound)) >= HOP_S * RATE:
                every = np.concatenate(sound)
                cut = round(HOP_S * RATE)
                spent["decode"] += time.thread_time() - at
                yield faces[:2], every[:cut]
                at = time.thread_time()
                faces, sound = [], [every[cut:]]


def _look(reducer: FaceReducer, pixels: np.ndarray, seq: int) -> list[np.ndarray]:
    from actors.window_ready import grey_face

    packet = Packet(
        stream="s",
        modality=Modality.VIDEO,
        seq=seq,
        t_ns=round(seq * NS / FACE_GRID_HZ),
        payload=VideoFrame(pixels=pixels),
    )
    seen = reducer.observe(packet).payload
    assert isinstance(seen, FaceObservation)
    return [grey_face(face.pixels) for face in seen.faces[:1]]


if __name__ == "__main__":
    main()
