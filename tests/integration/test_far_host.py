"""Words from another host, in a network namespace of its own, over a wire with delay and jitter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.two_hosts import HERE_IP, THERE_IP, two_hosts, why_not, within
from streaming.keys import make_client_keys, make_server_keys

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)
FOLDER = Path(__file__).parent
WAIT_S = 30.0


class Hosts:
    """Attune's end, and the program at the other."""

    def __init__(self, here: str, there: str, keys: Path) -> None:
        for server in ("words", "clock"):
            make_server_keys(keys / server)
            make_client_keys(keys / server, keys / f"{server}-client", "other")
        self._far = self._run(
            there, "far_words.py", f"tcp://{HERE_IP}:7200", keys / "words-client",
            f"tcp://{THERE_IP}:7201", keys / "clock",
        )  # fmt: skip
        self._near = self._run(
            here, "near_words.py", f"zmq+pull://{HERE_IP}:7200", keys / "words",
            f"tcp://{THERE_IP}:7201", keys / "clock-client",
        )  # fmt: skip

    def items(self, seconds: float) -> list[dict[str, Any]]:
        """What comes within so many seconds of the next."""
        found = [self.next()]
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            found.append(self.next())
        return found

    def next(self) -> dict[str, Any]:
        """What comes next: a line every 25 ms while both live."""
        assert self._near.stdout is not None
        line = self._near.stdout.readline()
        assert line, "the near end is gone"
        found: dict[str, Any] = json.loads(line)
        return found

    def set_back(self) -> None:
        """Have the clock of the other host set back by two hours."""
        assert self._far.stdin is not None
        self._far.stdin.write("back\n")
        self._far.stdin.flush()

    def close(self) -> None:
        for process in (self._near, self._far):
            process.kill()
            process.communicate()

    def _run(self, name: str, script: str, *arguments: object) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = within(name, sys.executable, FOLDER / script, *arguments)
        path = os.pathsep.join([str(FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


@contextmanager
def joined(folder: Path, there_ms: float, back_ms: float) -> Iterator[Hosts]:
    """Two hosts with 4 ms of jitter each way."""
    with two_hosts(there_ms, back_ms, 4) as (here, there):
        hosts = Hosts(here, there, folder)
        try:
            yield hosts
        finally:
            hosts.close()


def errors_ms(items: list[dict[str, Any]]) -> Any:
    """Errors of the words' times, each of which must be within its own uncertainty."""
    words = [item for item in items if "error_ns" in item]
    assert len(words) > 20
    for word in words:
        assert abs(word["error_ns"]) <= word["within_ns"]
    return np.array([word["error_ns"] for word in words]) / 1e6


@pytest.mark.timeout(WAIT_S)
def test_ways_of_equal_delay_give_a_millisecond_also_after_the_clock_was_set_back(tmp_path):
    # far clock  |--- 100 ppm fast ---|--- two hours back, 100 ppm fast ---
    # words       learning | < 1 ms    at arrival | < 1 ms
    # told                             clock_jump, then: a new epoch begins
    with joined(tmp_path, 3, 3) as hosts:
        errors_ms(hosts.items(1.0))
        assert np.percentile(np.abs(errors_ms(hosts.items(1.5))), 99) < 1.0
        hosts.set_back()
        told: list[dict[str, Any]] = []
        while not any("epoch 2 begins" in item.get("detail", "") for item in told):
            told.append(hosts.next())
        kinds = {item["kind"] for item in told if "kind" in item}
        assert kinds == {"clock_jump"}
        jump_s = float(told[-1]["detail"].partition("jumped by ")[2].partition(" s;")[0])
        assert jump_s == pytest.approx(-7200, abs=0.05)
        set_back = errors_ms([*told, *hosts.items(1.0)])
        assert np.abs(set_back).max() < 1000.0
        assert np.percentile(np.abs(errors_ms(hosts.items(1.5))), 99) < 1.0


@pytest.mark.timeout(WAIT_S)
def test_ways_of_unequal_delay_cannot_be_told_apart_but_are_within_the_uncertainty(tmp_path):
    with joined(tmp_path, 3, 13) as hosts:
        errors_ms(hosts.items(1.0))
        # The answers take 10 ms longer than the questions: half of it cannot be seen.
        assert np.median(errors_ms(hosts.items(1.0))) == pytest.approx(5, abs=1.5)
