"""Signs of life tell what a part costs, with the processes that it has begun."""

from __future__ import annotations

from actors.pulse import Pulse, Pulses, Sign
from streaming.clock import HandClock


def test_a_sign_counts_the_cpu_time_of_processes_that_the_part_has_begun() -> None:
    pulses = Pulses("inproc://signs")
    pulse = Pulse("inproc://signs", "ingest-0", 0, HandClock(), lambda: 1000.0)
    pulse.beat(now=True)
    signs: list[Sign] = pulses.read()
    pulse.close()
    pulses.close()
    assert [(s.name, s.cpu_s > 1000.0) for s in signs] == [("ingest-0", True)]
