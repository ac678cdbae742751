"""Links between machines over a network that breaks: what libzmq gives up is sent again."""

from __future__ import annotations

import threading
import time

import pytest

from actors.link import PullLink, PushLink
from actors.messages import StreamEnded
from actors.pulse import Pulse, Pulses
from benchmarks.chaos.proxy import Proxy
from streaming.clock import SystemClock
from streaming.keys import run_keys

NEVER = threading.Event()
LIMIT_S = 20.0


def through(proxy: Proxy) -> str:
    return f"tcp://127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("direction", ["broken_up", "broken", "cut"])
def test_a_link_with_keys_loses_nothing_over_a_wrong_byte(direction):
    # bytes      sound |-- one of each chunk wrong --| sound
    # sender     0 1 2   3 ... (libzmq ends the connection)      on its own over a new one
    # receiver   0 1 2                                 3 ...     each once, in order
    binding, connecting = run_keys()
    pull = PullLink("tcp://127.0.0.1:*", binding)
    proxy = Proxy(int(pull.address.rpartition(":")[2]))
    push = PushLink(through(proxy), connecting)
    sent, got = 0, []

    def pass_on(until: int) -> None:
        nonlocal sent
        limit_s = time.monotonic() + LIMIT_S
        while len(got) < until:
            if sent < until:
                push.send(StreamEnded(stream="s", end_ns=sent), NEVER)
                sent += 1
            push.attend()
            got.extend(cargo.end_ns for cargo in pull.drain(20))
            assert time.monotonic() < limit_s, f"{len(got)} of {until} came"

    pass_on(3)
    if direction == "cut":
        proxy.cut()
    else:
        setattr(proxy.faults, direction, 1.0)
        before = proxy.spoiled
        limit_s = time.monotonic() + LIMIT_S
        while proxy.spoiled == before:  # in a thread of the proxy: there is nothing to wait for
            push.send(StreamEnded(stream="s", end_ns=sent), NEVER)
            sent += 1
            pull.drain(20) if direction == "broken_up" else got.extend(
                cargo.end_ns for cargo in pull.drain(20)
            )
            assert time.monotonic() < limit_s
        setattr(proxy.faults, direction, 0.0)
    pass_on(sent + 20)
    assert got == list(range(sent))
    push.close()
    pull.close()


def test_signs_of_life_go_on_after_a_wrong_byte():
    binding, connecting = run_keys()
    pulses = Pulses("tcp://127.0.0.1:*", binding)
    proxy = Proxy(int(pulses.address.rpartition(":")[2]))
    pulse = Pulse(through(proxy), "align", 0, SystemClock(), keys=connecting)

    def heard() -> int:
        limit_s, count = time.monotonic() + LIMIT_S, 0
        while not count:
            pulse.beat(now=True)
            time.sleep(0.02)
            count = len(pulses.read())
            assert time.monotonic() < limit_s
        return count

    heard()
    proxy.faults.broken = proxy.faults.broken_up = 1.0
    limit_s = time.monotonic() + LIMIT_S
    while not proxy.spoiled:
        pulse.beat(now=True)
        pulses.read()
        time.sleep(0.02)
        assert time.monotonic() < limit_s
    proxy.faults.broken = proxy.faults.broken_up = 0.0
    for _ in range(3):
        heard()
    pulse.close()
    pulses.close()
