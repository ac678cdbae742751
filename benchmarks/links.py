"""What a hand-over between two parts costs: a path, tcp, and tcp with keys as between machines.

One hop of a stream's sound (0.5 s, 16 kHz, float32: 32 kB) and of its faces (two crops) is handed
over from one thread to another; CPU of the process, ZeroMQ's own threads included, and the link's
encoding and decoding. Rounds are interleaved; the median counts. The alternative is the path.
Run: python -m benchmarks.links
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time

import numpy as np

from actors.link import PullLink, PushLink
from actors.messages import Packets
from benchmarks.report import show, write
from streaming.keys import ClientKeys, ServerKeys, run_keys
from streaming.packets import AudioChunk, FaceCrop, FaceObservation, Modality, Packet, PacketBatch

ROUNDS, HOPS = 15, 200
HOP_NS = 500_000_000
NEVER = threading.Event()


def hop() -> list[Packets]:
    """What one hop of one stream amounts to."""
    random = np.random.default_rng(7)
    sound = random.uniform(-1, 1, (8000, 1)).astype(np.float32)
    chunk = Packet(
        stream="s",
        modality=Modality.AUDIO,
        seq=0,
        t_ns=0,
        duration_ns=HOP_NS,
        payload=AudioChunk(samples=sound, sample_rate_hz=16_000),
    )
    crop = FaceCrop(
        pixels=random.integers(0, 255, (48, 48, 3), np.uint8),
        box_px=(0, 0, 48, 48),
        track_id=1,
        score=1.0,
    )
    looks = [
        Packet(
            stream="s",
            modality=Modality.VIDEO,
            seq=i,
            t_ns=i * HOP_NS // 2,
            payload=FaceObservation(frame_width_px=640, frame_height_px=360, faces=(crop,)),
        )
        for i in range(2)
    ]
    return [
        Packets(PacketBatch.of("s", Modality.AUDIO, [chunk], progress_ns=HOP_NS)),
        Packets(PacketBatch.of("s", Modality.VIDEO, looks, progress_ns=HOP_NS)),
    ]


def cpu_us(address: str, binding: ServerKeys | None, connecting: ClientKeys | None) -> float:
    """CPU microseconds for each hop over one link."""
    pull = PullLink(address, binding)
    push = PushLink(pull.address, connecting, keeps=False)
    batches = hop()
    push.send(batches[0], NEVER)
    assert pull.drain(5000)  # they are connected

    def receive() -> None:
        left = len(batches) * HOPS
        while left:
            left -= len(pull.drain(5000))

    receiver = threading.Thread(target=receive)
    before = time.process_time()
    receiver.start()
    for _ in range(HOPS):
        for batch in batches:
            push.send(batch, NEVER)
    receiver.join()
    spent = time.process_time() - before
    push.close()
    pull.close()
    return 1e6 * spent / HOPS


def main() -> None:
    """Measure and print."""
    binding, connecting = run_keys()
    spent: dict[str, list[float]] = {"path (ipc)": [], "tcp": [], "tcp with CURVE": []}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(ROUNDS):
            spent["path (ipc)"].append(cpu_us(f"ipc://{folder}/{i}", None, None))
            spent["tcp"].append(cpu_us("tcp://127.0.0.1:*", None, None))
            spent["tcp with CURVE"].append(cpu_us("tcp://127.0.0.1:*", binding, connecting))
    medians = {name: statistics.median(values) for name, values in spent.items()}
    rows = [
        {
            "link": name,
            "CPU us a hop": round(value, 1),
            "% of a core a stream": round(2 * value / 1e4, 3),
            "ratio": round(value / medians["path (ipc)"], 2),
        }
        for name, value in medians.items()
    ]
    show("handing over one hop of sound and faces", rows)
    write("links", {"rows": rows})


if __name__ == "__main__":
    main()
