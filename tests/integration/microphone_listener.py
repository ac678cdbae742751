"""Listens with the real microphone source and prints what it hears, as JSON lines.

A process of its own, because PortAudio and ALSA read their configuration once.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from streaming.clock import NS_PER_S
from streaming.packets import AudioChunk, Packet
from streaming.results import Health
from streaming.source_settings import MicrophoneSettings
from streaming.sources.microphone import MicrophoneSource

LOUD = 0.2


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    source = MicrophoneSource(
        MicrophoneSettings(device=sys.argv[1]), stream="s", hop_ns=NS_PER_S // 2
    )
    say(kind="open")
    last_ns = 0
    for item in source.items():
        if isinstance(item, Health):
            say(kind=str(item.kind), t_ns=item.t_ns, detail=item.detail)
        elif isinstance(item, Packet) and isinstance(item.payload, AudioChunk):
            for i in np.flatnonzero(np.abs(item.payload.samples[:, 0]) > LOUD).tolist():
                t_ns = item.t_ns + i * NS_PER_S // item.payload.sample_rate_hz
                if t_ns - last_ns > NS_PER_S // 10:  # the first loud sample of a click
                    say(kind="click", t_ns=t_ns, uncertainty_ns=item.uncertainty_ns)
                last_ns = t_ns


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        os._exit(0)
