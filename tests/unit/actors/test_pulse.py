"""Signs of life tell what a part costs, with the processes that it has begun."""

from __future__ import annotations

from pathlib import Path

from actors.pulse import Pulse, Pulses, Sign
from streaming.clock import HandClock


def test_a_sign_counts_the_cpu_time_of_processes_that_the_part_has_begun(tmp_path: Path) -> None:
    pulses = Pulses(f"ipc://{tmp_path}/signs")
    pulse = Pulse(pulses.address, "ingest-0", 0, HandClock(), lambda: 1000.0)
    pulse.beat(now=True)
    signs: list[Sign] = []
    while not signs:  # it comes by ZeroMQ's own thread
        signs = pulses.read()
    pulse.close()
    pulses.close()
    assert [(s.name, s.cpu_s > 1000.0) for s in signs] == [("ingest-0", True)]
