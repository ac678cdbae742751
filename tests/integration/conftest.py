"""The real thing: a clip, the command line as a process, and what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from benchmarks.scene import make_clip

ANY_PORT = "tcp://127.0.0.1:*"
EVERY_WINDOW = ("--set", "pipeline.max_age_ms=0")  # none is given up, however busy the machine is


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six seconds of picture and sound with a face, and their captions."""
    return make_clip(tmp_path_factory.mktemp("clip"), 6)


def attune(*arguments: object, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "attune", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the command line and leave it running."""
    command = [sys.executable, "-m", "attune", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes put here are killed when the test ends."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def messages(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The messages of a JSON-lines file, of one type or all; every line must be whole."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(set(line) == {"topic", "message"} for line in found)
    return [m["message"] for m in found if kind is None or m["message"]["type"] == kind]


def without_timing(path: Path) -> list[dict[str, Any]]:
    """All messages less what may differ between two runs: `epoch` and `timing`."""
    return [
        {key: value for key, value in message.items() if key not in ("epoch", "timing")}
        for message in messages(path)
    ]


def events(path: Path, kind: str) -> list[tuple[float, float]]:
    """Intervals in seconds of the events of one kind that have ended."""
    return [
        (m["start_ns"] / 1e9, m["end_ns"] / 1e9)
        for m in messages(path, "event")
        if m["kind"] == kind and m["phase"] == "end"
    ]


@pytest.fixture(params=["ipc", "tcp"])
def address(request, tmp_path):
    if request.param == "ipc":
        return f"ipc://{tmp_path}/attune"
    with zmq.Context() as context, context.socket(zmq.PUB) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    return f"tcp://127.0.0.1:{port}"
