"""`attune clock` as a process, and a program that answers by itself, asked over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import zmq
from conftest import start

from streaming.clock import SystemClock
from streaming.errors import SourceError
from streaming.health import HealthKind
from streaming.sources.zmq_far_clock import AskedClock

WAIT_S = 30.0


def answer_by_hand(address: str, stop: threading.Event) -> None:
    """As docs/clocks.md has it, for programs without Attune."""
    with zmq.Context() as context, context.socket(zmq.REP) as here:
        here.bind(address)
        while not stop.is_set():
            if here.poll(50):
                asked = json.loads(here.recv())
                now = time.monotonic_ns()
                here.send_json(asked | {"received_ns": now, "replied_ns": time.monotonic_ns()})


def told(clock: AskedClock) -> list[HealthKind]:
    """The next news."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        if news := clock.news():
            return [kind for kind, _ in news]
        time.sleep(0.05)
    raise AssertionError("nothing was told")


def require_truth(clock: AskedClock) -> None:
    """The clock asked for is the one of this very host."""
    for _ in range(10):
        true_ns = time.monotonic_ns()
        t_ns, uncertainty_ns = clock.at(true_ns)
        assert abs(t_ns - true_ns) <= uncertainty_ns < 50_000_000
        time.sleep(0.02)


def test_a_clock_that_is_told_by_attune_and_then_by_another_program(running):
    # port   |-- attune clock --| nobody |-- a REP socket --
    # told                        desynchronised  recovered
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    process = start("clock", address)
    running.append(process)
    assert process.stdout is not None
    assert address in process.stdout.readline()
    rude = zmq.Context.instance().socket(zmq.DEALER)
    rude.connect(address)
    for nonsense in (b"", b"\xff", b'{"type":"clock"}', b"x" * 900):
        rude.send(nonsense)
    clock = AskedClock(address, "", SystemClock())
    require_truth(clock)
    assert not rude.poll(100)
    rude.close(0)
    process.terminate()
    with pytest.raises(SourceError, match=r"expected a clock, but there was no answer in 3 s"):
        AskedClock("tcp://127.0.0.1:1", "", SystemClock())
    assert told(clock) == [HealthKind.DESYNCHRONISED]
    stop = threading.Event()
    answering = threading.Thread(target=answer_by_hand, args=(address, stop))
    answering.start()
    assert told(clock) == [HealthKind.RECOVERED]
    require_truth(clock)
    clock.close()
    clock.close()
    stop.set()
    answering.join()
