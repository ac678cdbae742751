"""Bad input and bad moments: one clear line, earlier results delivered, nothing left behind."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import ANY_PORT, EVERY_WINDOW, attune, messages, start

WAIT_S = 90.0


def wait_for_lines(path: Path, count: int) -> None:
    """Poll until `path` has `count` lines."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.1)  # another process writes the file: there is no event to wait for
    raise AssertionError(f"{path} did not get {count} lines in {WAIT_S} s")


def assert_one_line(said: str, *words: str) -> None:
    complaint = [line for line in said.splitlines() if line.startswith("attune: ")]
    assert len(complaint) == 1, said
    assert "Traceback" not in said
    for word in words:
        assert word in complaint[0]


@pytest.mark.parametrize("runtime", ["--inline", "ray"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_good_order(
    clip: tuple[Path, Path], tmp_path: Path, running: list, runtime: str, number: signal.Signals
) -> None:
    out = tmp_path / "out.jsonl"
    inline = ["--inline"] if runtime == "--inline" else []
    run = start("run", "--media", clip[0], "--publish", ANY_PORT, "--output", out, *inline)
    running.append(run)
    wait_for_lines(out, 3)
    family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    run.send_signal(number)
    _, said = run.communicate(timeout=60)

    assert run.returncode == 128 + number, said
    assert "Traceback" not in said
    written = messages(out)  # every line is whole
    assert written[-1]["kind"] == "stream_ended"
    assert [m["seq"] for m in written] == list(range(1, len(written) + 1))
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []


def test_a_signal_while_ray_starts_leaves_nothing_behind(
    clip: tuple[Path, Path], tmp_path: Path, running: list
) -> None:
    run = start("run", "--media", clip[0], "--publish", ANY_PORT)
    running.append(run)
    until = time.monotonic() + WAIT_S
    while not (family := psutil.Process(run.pid).children(recursive=True)):
        assert time.monotonic() < until
        time.sleep(0.05)  # waiting for the first of Ray's processes to appear
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)

    assert run.returncode == 130, said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []


def test_parts_that_are_killed_are_started_anew_and_no_window_is_lost(
    tmp_path: Path, running: list
) -> None:
    # scene    0 s ------------------------------------ 24 s
    # killed        align, then (once it is back) publish
    config, out = tmp_path / "run.yaml", tmp_path / "out.jsonl"
    config.write_text(
        "streams: [{sources: [{kind: synthetic, scene: portrait, duration_s: 24}]}]\n"
        "pipeline: {max_age_ms: 0}\n"  # every window, however slow the machine is
        f"output: {{publish: '{ANY_PORT}', file: '{out}', journal: '{tmp_path}/journal'}}\n"
    )
    run = start("run", config)
    running.append(run)
    wait_for_lines(out, 3)
    for lost, part in enumerate(("AlignNode", "PublishNode"), 1):
        kill_actor(run.pid, part)
        wait_for_restarts(out, lost)
    _, said = run.communicate(timeout=90)

    assert run.returncode == 0, said
    assert "Traceback" not in said
    assert "raylet" not in said
    results = messages(out, "result")
    assert [m["index"] for m in results] == list(range(len(results)))
    assert results[-1]["end_ns"] >= 23.5e9
    assert len({m["epoch"] for m in results}) == 2  # the publisher's own restart is one
    with closing(sqlite3.connect(tmp_path / "journal")) as journal:
        kept = journal.execute("SELECT epoch, seq FROM message ORDER BY id").fetchall()
    assert kept == [(m["epoch"], m["seq"]) for m in messages(out)]
    events = messages(out, "event")
    begun = Counter((e["kind"], e["id"]) for e in events if e["phase"] == "start")
    over = Counter((e["kind"], e["id"]) for e in events if e["phase"] == "end")
    assert begun
    assert begun <= over  # a kill right after an end may have it told once more
    lost = [e["epoch"] for e in events if e["evidence"].get("ended_by") == "publisher lost"]
    assert set(lost) == {results[-1]["epoch"]}
    health = messages(out, "health")
    restarts = [m["detail"].split(" was lost")[0] for m in health if m["kind"] == "restarted"]
    assert restarts == ["align", "publish"]
    assert not [m for m in health if m["kind"] == "gap" and m["modality"] is None]


def kill_actor(pid: int, name: str) -> None:
    for process in psutil.Process(pid).children(recursive=True):
        if f"ray::{name}" in " ".join(process.cmdline()):
            process.kill()
            return
    raise AssertionError(f"no {name} runs")


def wait_for_restarts(path: Path, count: int) -> None:
    """Poll until so many restarts are told of in `path`."""
    until = time.monotonic() + WAIT_S
    while path.read_text().count('"kind":"restarted"') < count:
        assert time.monotonic() < until
        time.sleep(0.1)  # another process writes the file: there is no event to wait for


@pytest.mark.parametrize("runtime", ["--inline", "ray"])
def test_a_port_in_use_is_refused_by_name(clip: tuple[Path, Path], runtime: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        inline = ["--inline"] if runtime == "--inline" else []
        done = attune("run", "--media", clip[0], "--publish", address, *inline)
    assert done.returncode == 1
    assert_one_line(done.stderr, address, "stop it or choose another port")


@pytest.mark.parametrize("runtime", ["--inline", "ray"])
def test_a_full_disk_is_said_once_and_the_run_goes_on(
    clip: tuple[Path, Path], tmp_path: Path, running: list, runtime: str
) -> None:
    address = f"ipc://{tmp_path}/out"
    watcher = start("watch", address, "--json", "--until-ended")
    running.append(watcher)
    more = [*EVERY_WINDOW, *(["--inline"] if runtime == "--inline" else [])]
    done = attune("run", "--media", clip[0], "--publish", address, "--output", "/dev/full", *more)
    received, _ = watcher.communicate(timeout=20)
    assert done.returncode == 1
    assert_one_line(done.stderr, "/dev/full", "the disk is full")
    assert received.count('"type":"result"') >= 9
    assert '"kind":"sink_failed"' in received


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--media", "nothere.mp4"], 1, ("nothere.mp4",)),
        (["--media", "."], 1, ("is a directory",)),
        (["--text", "nothere.srt"], 1, ("nothere.srt",)),
        (["--media", __file__], 1, (Path(__file__).name,)),
        (["--media", "x", "--output", "/nothere/out.jsonl"], 1, ("/nothere/out.jsonl",)),
        (
            ["--media", "x", "--publish", "tcp://0.0.0.0:7100"],
            2,
            ("0.0.0.0", "attune keys", "127.0.0.1"),
        ),
        (["--media", "x", "--set", "model.path=/nothere"], 2, ("/nothere",)),
    ],
)
def test_what_cannot_be_opened_is_one_line(arguments: list, code: int, words: tuple) -> None:
    done = attune("run", *arguments, "--inline", "--publish", ANY_PORT, *_last(arguments))
    assert done.returncode == code, done.stderr
    assert_one_line(done.stderr, *words)


def _last(arguments: list) -> list:
    """A later `--publish` wins over an earlier one."""
    return arguments[-2:] if "--publish" in arguments else []
