"""The limit of retention: nothing is kept longer, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.sinks import open_sinks
from streaming.clock import NS_PER_S, HandClock
from streaming.settings import AttuneSettings, OutputSettings
from streaming.sinks import ReplayServer
from streaming.sinks.retention import EVERY_NS, JsonlParts, Sweeper

HOUR_NS = 3600 * NS_PER_S
START_NS = 1_795_000_000 * NS_PER_S


@pytest.fixture
def clock() -> HandClock:
    return HandClock(START_NS)


def written(folder: Path) -> list[str]:
    """All lines that are kept, the oldest first."""
    return [line for path in sorted(folder.glob("*")) for line in path.read_text().splitlines()]


def hour_of(line: str) -> int:
    return int(line.partition("hour ")[2].rstrip("}"))


def test_no_line_is_kept_longer_than_the_limit(tmp_path: Path, clock: HandClock) -> None:
    # limit 8 h; parts of 2 h
    # hour   0   1 | 2   3 | 4   5 | 6   7 | 8 ...
    # at 8   deleted         kept
    parts = JsonlParts(str(tmp_path / "out.jsonl"), 8 * HOUR_NS, clock.now_ns)
    sweeper = Sweeper(8 * HOUR_NS, parts=parts, unix_ns=clock.now_ns)
    for hour in range(30):
        parts.send(b"t", f"hour {hour}".encode())
        sweeper.send(b"heartbeat", b"")
        kept = [hour_of(line) for line in written(tmp_path)]
        assert kept == list(range(kept[0], hour + 1))
        assert hour - kept[0] < 8  # nothing is older
        assert hour < 8 or hour - kept[0] >= 5  # and three quarters of it are there
        clock.advance(HOUR_NS)


def test_the_part_that_is_being_written_is_never_deleted(tmp_path: Path, clock: HandClock) -> None:
    parts = JsonlParts(str(tmp_path / "out.jsonl"), 8 * HOUR_NS, clock.now_ns)
    parts.send(b"t", b"hour 0")
    clock.advance(3 * HOUR_NS)
    parts.send(b"t", b"hour 3")
    (first, _) = sorted(tmp_path.glob("*"))
    assert parts.expired(clock.now_ns() + 1000 * HOUR_NS) == [first]


def test_it_looks_once_a_minute_between_messages(tmp_path: Path, clock: HandClock) -> None:
    parts = JsonlParts(str(tmp_path / "out.jsonl"), 8 * HOUR_NS, clock.now_ns)
    sweeper = Sweeper(8 * HOUR_NS, parts=parts, unix_ns=clock.now_ns)
    parts.send(b"t", b"hour 0")
    clock.advance(3 * HOUR_NS)
    parts.send(b"t", b"hour 3")
    clock.advance(5 * HOUR_NS - EVERY_NS)
    sweeper.send(b"heartbeat", b"")
    assert [hour_of(line) for line in written(tmp_path)] == [3]


def test_a_part_of_an_earlier_run_is_deleted_in_its_time(tmp_path: Path, clock: HandClock) -> None:
    path = str(tmp_path / "out.jsonl")
    JsonlParts(path, 8 * HOUR_NS, clock.now_ns).send(b"t", b"hour 0")
    clock.advance(7 * HOUR_NS)
    later = JsonlParts(path, 8 * HOUR_NS, clock.now_ns)
    sweeper = Sweeper(8 * HOUR_NS, parts=later, unix_ns=clock.now_ns)
    later.send(b"t", b"hour 7")
    assert [hour_of(line) for line in written(tmp_path)] == [0, 7]
    clock.advance(HOUR_NS)
    sweeper.send(b"heartbeat", b"")
    assert [hour_of(line) for line in written(tmp_path)] == [7]


def test_only_what_it_is_for_is_deleted(tmp_path: Path, clock: HandClock) -> None:
    folder, other = tmp_path / "recordings", tmp_path / "other"
    deep = folder / "deep"
    for each in (folder, other, deep):
        each.mkdir()
    names = {
        folder / "old.mcap": False,
        other / "old.mcap": True,
        deep / "old.mcap": True,
        tmp_path / "out.mine.jsonl": True,
        tmp_path / "out.20200101T000000Z.jsonl": False,
        tmp_path / "out.20200101T000000Z.txt": True,
        tmp_path / "journal": True,
        tmp_path / "journal.damaged-1": False,
    }
    for path in names:
        path.write_text("x")
        os.utime(path, ns=(START_NS - 9 * HOUR_NS,) * 2)
    young = folder / "young.mcap"
    young.write_text("x")
    os.utime(young, ns=(START_NS - 7 * HOUR_NS,) * 2)
    link = folder / "link.mcap"
    link.symlink_to(other / "old.mcap")
    Sweeper(
        8 * HOUR_NS,
        parts=JsonlParts(str(tmp_path / "out.jsonl"), 8 * HOUR_NS, clock.now_ns),
        folder=str(folder),
        journal=str(tmp_path / "journal"),
        unix_ns=clock.now_ns,
    )
    assert {path: path.exists() for path in names} == names
    assert young.exists()
    assert link.is_symlink()


def test_the_ring_keeps_no_longer_either() -> None:
    output = OutputSettings(publish="tcp://127.0.0.1:*", replay_s=7200, retain_h=1)
    sinks = open_sinks(AttuneSettings(output=output))
    try:
        (replay,) = [sink for sink in sinks if isinstance(sink, ReplayServer)]
        assert replay.span_s == 3600
        assert any(isinstance(sink, Sweeper) for sink in sinks)
    finally:
        for sink in sinks:
            sink.close()


def test_without_a_limit_the_file_is_one(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (sink,) = open_sinks(AttuneSettings(output=OutputSettings(publish="", file=str(path))))
    sink.send(b"t", b"{}")
    sink.close()
    assert path.read_text().count("\n") == 1
