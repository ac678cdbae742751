"""The audit log: its owner's file, one line for each thing that was given, asked or stated."""

from __future__ import annotations

import json
import resource
import stat
from pathlib import Path

import msgspec
import pytest

from streaming.audit import LONGEST, AuditLog, What
from streaming.errors import SinkError
from streaming.replay import LatestReply, Refusal, ReplayReply
from streaming.sinks.replay import given

NOON_NS = 1_795_000_000_123_000_000


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_what_who_and_when_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(str(path), lambda: NOON_NS)
    audit.note(What.SUBSCRIBED, who="desk", address="10.0.0.7", topic="result/")
    audit.note(What.SUBSCRIBED, topic="")
    audit.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    at = "2026-11-18T11:06:40.123Z"
    assert lines(path) == [
        {
            "time": at,
            "what": "subscribed",
            "who": "desk",
            "address": "10.0.0.7",
            "topic": "result/",
        },
        {"time": at, "what": "subscribed", "topic": ""},
    ]


def test_a_log_that_is_closed_holds_no_file(tmp_path: Path) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    audit = AuditLog(str(tmp_path / "audit.jsonl"))
    assert len(list(open_files.iterdir())) == before + 1
    audit.close()
    assert len(list(open_files.iterdir())) == before


def test_what_was_there_stays_and_two_writers_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    one, two = AuditLog(str(path)), AuditLog(str(path))
    for audit, stream in ((one, "a"), (two, "b"), (one, "c")):
        audit.note(What.COMMAND, stream=stream, detail="x" * 2 * LONGEST)
    assert [line["stream"] for line in lines(path)] == ["a", "b", "c"]
    assert len(lines(path)[0]["detail"]) == LONGEST


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o644)
    with pytest.raises(SinkError, match=f"others can read the audit log {path}: chmod 600"):
        AuditLog(str(path))
    with pytest.raises(SinkError, match=r"cannot write the audit log .*no/where.*another path"):
        AuditLog(str(tmp_path / "no" / "where"))


def test_lines_that_could_not_be_written_are_counted(tmp_path: Path, caplog) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(str(path))
    audit.note(What.COMMAND, detail="before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))  # a full disk
    try:
        for _ in range(3):
            audit.note(What.COMMAND, detail="lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    audit.note(What.COMMAND, detail="after")
    assert [line["detail"] for line in lines(path)] == ["before", "after"]
    assert lines(path)[1]["missing"] == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            ReplayReply(stream="cam", epoch=7, first=2, last=5),
            (What.REPLAYED, "cam", "epoch 7: 2 to 5"),
        ),
        (
            ReplayReply(stream="cam", epoch=7, first=None, last=None),
            (What.REPLAYED, "cam", "epoch 7: nothing"),
        ),
        (LatestReply(epoch=7, last_seq={"a": 1, "b": 2}), (What.LATEST, "a, b", "")),
        (Refusal(reason="no such run"), (What.REFUSED, "", "no such run")),
    ],
)
def test_what_a_replay_gave_is_said(reply, expected) -> None:
    assert given(msgspec.json.encode(reply)) == expected
