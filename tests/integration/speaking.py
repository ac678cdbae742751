"""A publisher as a process: waits for a line, speaks, waits again, then ends its stream.

`python -m tests.integration.speaking ADDRESS STREAM COUNT EVERY_MS [JOURNAL] [KEYS]`: the epoch and
number of each message are printed once it is out. Results and health take turns.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.publish import RESULT
from streaming.health import Health, HealthKind
from streaming.journal import Journal
from streaming.keys import read_server_keys
from streaming.sinks import Publisher, ZmqPublisher, open_replay


def main() -> None:
    address, stream, count, every_ms, journal, keys = [*sys.argv[1:], "", ""][:6]
    known = read_server_keys(Path(keys)) if keys else None
    kept = Journal(journal, span_ns=10**12, max_bytes=10**8) if journal else None
    sink = ZmqPublisher(address, known)
    bounds = {"span_s": 600.0, "max_bytes": 10**8}
    ring = open_replay(sink.address, **bounds, keys=known, journal=kept)
    publisher = Publisher([ring, sink], heartbeat_ms=200)
    os.set_blocking(0, False)

    def wait() -> None:
        while not sys.stdin.readline():
            publisher.beat(time.monotonic_ns())
            time.sleep(0.01)

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    wait()
    for i in range(int(count)):
        result = msgspec.structs.replace(RESULT, stream=stream, index=i)
        health = Health(stream=stream, kind=HealthKind.DROP, t_ns=i, detail="x" * 500)
        sent = publisher.publish(health if i % 2 else result)
        say(f"{sent.epoch} {sent.seq}")
        publisher.beat(time.monotonic_ns())
        time.sleep(float(every_ms) / 1000)
    wait()
    sent = publisher.publish(Health(stream=stream, kind=HealthKind.STREAM_ENDED, t_ns=0))
    say(f"{sent.epoch} {sent.seq}")
    publisher.close()


if __name__ == "__main__":
    main()
