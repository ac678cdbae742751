"""Several Ray nodes: streams where they belong, over tcp, and moved when a node dies."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.conftest import ANY_PORT, attune, messages, start

WAIT_S = 150.0  # a shared machine may take long to start two nodes and six parts
MOVED_S = 10.0
ALL = ("door", "hall", "yard")

STREAMS = """
streams:
  - {name: door, node: one, sources: [{kind: synthetic, duration_s: 300}]}
  - {name: hall, sources: [{kind: synthetic, duration_s: 300}]}
  - {name: yard, sources: [{kind: synthetic, duration_s: 300}]}
"""


class Nodes:
    """The nodes of a cluster, each known by its raylet."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.integration.ray_nodes"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.address = ""

    def add(self, name: str) -> psutil.Process:
        """The raylet of one more node."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        self.address, pid = self._process.stdout.readline().split()
        return psutil.Process(int(pid))

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A cluster whose nodes ask for a token."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("RAY_worker_niceness", "0")  # not 15, beside others' work
    made = Nodes()
    yield made
    made.close()


def kill(raylet: psutil.Process) -> None:
    """SIGKILL a raylet and all its workers, as if the machine had gone."""
    everything = [raylet, *raylet.children(recursive=True)]
    for process in everything:
        process.kill()
    psutil.wait_procs(everything, timeout=5)


def parts(raylet: psutil.Process, kind: str) -> list[psutil.Process]:
    """The processes of one kind of part on a node."""
    return [p for p in raylet.children() if f"ray::{kind}" in " ".join(p.cmdline())]


def until(holds: Callable[[], object], what: str) -> None:
    """Poll: other processes are at work, there is no event to wait for."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def is_good(result: dict[str, Any]) -> bool:
    return all(view["state"] == "complete" for view in result["modalities"].values())


def good_after(out: Path, stream: str, unix_ns: int) -> bool:
    return any(
        m["stream"] == stream and is_good(m) and m["timing"]["published_unix_ns"] > unix_ns
        for m in messages(out, "result")
    )


def told(out: Path, stream: str, kind: str) -> list[dict[str, Any]]:
    return [m for m in messages(out, "health") if (m["stream"], m["kind"]) == (stream, kind)]


def longest_without_good_s(out: Path, stream: str) -> float:
    when = [
        m["timing"]["published_unix_ns"]
        for m in messages(out, "result")
        if m["stream"] == stream and is_good(m)
    ]
    return max(later - earlier for earlier, later in pairwise(when)) / 1e9


def require_laws(out: Path) -> None:
    """No number and no window is missing or comes twice; there is one epoch; all end in order."""
    for stream in ALL:
        every = [m for m in messages(out) if m.get("stream") == stream]
        assert [m["seq"] for m in every] == list(range(1, len(every) + 1))
        indices = [m["index"] for m in every if m["type"] == "result"]
        assert indices == list(range(len(indices)))
        assert every[-1]["kind"] == "stream_ended"
    assert len({m["epoch"] for m in messages(out)}) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_streams_of_a_node_that_dies_go_on_elsewhere_or_when_it_is_back(
    nodes: Nodes, tmp_path: Path, running: list
) -> None:
    # node one   |-- door, bound to it --| killed            | back: door --------|
    # anywhere   |-- hall, read there ---| killed |-- hall, read at the head -----|
    # head       |-- yard --------------------------------------------------------|
    head, one = nodes.add("head"), nodes.add("one")
    config, out = tmp_path / "run.yaml", tmp_path / "out.jsonl"
    config.write_text(f"{STREAMS}\noutput: {{publish: '{ANY_PORT}', file: '{out}'}}\n")
    run = start("run", config, "--address", nodes.address)
    running.append(run)
    until(out.exists, "no output")
    until(lambda: all(good_after(out, name, 0) for name in ALL), "no results")
    (align,) = parts(head, "AlignNode")
    ports = {c.laddr.port for c in align.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    readers = parts(one, "IngestNode")
    assert len(readers) == 2
    for reader in readers:
        assert ports & {c.raddr.port for c in reader.net_connections("tcp") if c.raddr}

    kill(one)
    until(lambda: told(out, "hall", "restarted"), "hall was not moved")
    since_ns = time.time_ns()
    until(lambda: good_after(out, "hall", since_ns), "hall does not go on")
    until(lambda: told(out, "door", "source_lost"), "nobody says that door has no node")
    nodes.add("one")
    until(lambda: told(out, "door", "restarted"), "door is not read again")
    since_ns = time.time_ns()
    until(lambda: good_after(out, "door", since_ns), "door does not go on")
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)

    assert run.returncode == 128 + signal.SIGTERM, said
    assert "Traceback" not in said
    assert longest_without_good_s(out, "hall") < MOVED_S
    assert not told(out, "yard", "restarted")
    require_laws(out)


def test_a_node_that_is_not_there_is_refused_by_name(nodes: Nodes, tmp_path: Path) -> None:
    nodes.add("head")
    config = tmp_path / "run.yaml"
    config.write_text(STREAMS)
    done = attune("run", config, "--address", nodes.address, "--publish", ANY_PORT)
    assert done.returncode == 2, done.stderr
    assert "stream 'door': there is no node 'one' in the cluster; there are: head" in done.stderr
    assert "Traceback" not in done.stderr
