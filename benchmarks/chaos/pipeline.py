"""A pipeline to be hurt: `attune run` in real time, with keys, a journal and a control port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chaos.log import Log
from streaming.keys import make_client_keys, make_server_keys

PARTS = {
    "publish": "PublishNode",
    "infer": "InferNode",
    "align": "AlignNode",
    "ingest": "IngestNode",
}
START_S = 240.0
# Ray gives its workers a niceness of 15; beside other busy programs they would get next to nothing.
RAY = {"RAY_worker_niceness": "0"}
SETTLE_S = 6.0
SCENE_S = 1200


@dataclass
class Pipeline:
    """Where it can be reached, and its processes. `keys`: of one who may subscribe and command."""

    process: subprocess.Popen[str]
    folder: Path
    port: int
    control_port: int

    @property
    def address(self) -> str:
        """Where it publishes; the replay port is the next."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def control(self) -> str:
        """Where it takes commands."""
        return f"tcp://127.0.0.1:{self.control_port}"

    @property
    def keys(self) -> Path:
        """Folder of one who may subscribe and command."""
        return self.folder / "client"

    @property
    def output(self) -> Path:
        """The file of what was published."""
        return self.folder / "published.jsonl"

    def part(self, name: str) -> psutil.Process:
        """The process of one part, once there is one."""
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s:
            for process in self.family():
                if f"ray::{PARTS[name]}" in _title(process):
                    return process
            time.sleep(0.1)
        raise SystemExit(f"no {PARTS[name]} runs")

    def family(self) -> list[psutil.Process]:
        """All its processes but the first."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def link(self, name: str) -> str:
        """Where one part takes what the part before it hands on."""
        latest = max(self.folder.glob(f"attune-*/{name}-*"), key=lambda path: path.stat().st_mtime)
        return f"ipc://{latest}"


@contextmanager
def running(streams: int, hang_s: float, log: Log) -> Iterator[Pipeline]:
    """One whose results have begun to come to `log`."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        make_server_keys(folder / "server")
        make_client_keys(folder / "server", folder / "client", "client")
        port, control = _ports()
        _write_config(folder, streams, hang_s, port, control)
        command = [sys.executable, "-m", "attune", "run", str(folder / "chaos.yaml")]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": name, **RAY}
        )
        pipeline = Pipeline(process, folder, port, control)
        log.listen(pipeline.address, pipeline.keys)
        try:
            until = time.monotonic() + START_S
            while len(log.results) < 8 and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            if not log.results:
                raise SystemExit(f"the pipeline gave no result within {START_S:.0f} s")
            time.sleep(SETTLE_S)  # the standby gets ready
            yield pipeline
        finally:
            if process.poll() is None:
                for child in [*pipeline.family(), psutil.Process(process.pid)]:
                    child.kill()
            print(process.stderr.read() if process.stderr else "", file=sys.stderr)


def _write_config(folder: Path, streams: int, hang_s: float, port: int, control: int) -> None:
    """Every second scene is a face with a voice, the others are flashes and beeps.

    Nothing is given up for its age: what a busy machine does not carry is no loss by a fault.
    """
    scenes = ("portrait", "card")
    lines = [
        f"  - {{name: s{i}, sources: [{{kind: synthetic, scene: {scenes[i % 2]}, "
        f"duration_s: {SCENE_S}}}]}}"
        for i in range(streams)
    ]
    (folder / "chaos.yaml").write_text(
        "\n".join(["streams:", *lines])
        + f"\npipeline: {{restarts: 40, hang_s: {hang_s}, standby: true, max_age_ms: 0}}\n"
        f"output: {{publish: 'tcp://127.0.0.1:{port}', keys: '{folder}/server', "
        f"file: '{folder}/published.jsonl', journal: '{folder}/journal'}}\n"
        f"control: {{address: 'tcp://127.0.0.1:{control}', keys: '{folder}/server'}}\n"
    )


def _ports() -> tuple[int, int]:
    """A port with a free one after it, and another."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = int(first.getsockname()[1])
            try:
                with (
                    socket.create_server(("127.0.0.1", port + 1)),
                    socket.create_server(("127.0.0.1", 0)) as third,
                ):
                    return port, int(third.getsockname()[1])
            except (OSError, OverflowError):
                continue


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
