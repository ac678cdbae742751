"""The journal: an SQLite file that outlives its publisher."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.errors import SinkError
from streaming.health import Health, HealthKind
from streaming.journal import RETRY_NS, TIDY_EVERY, Journal
from streaming.replay import Ring
from streaming.results import ClosedBy, Event, Phase, Result, Signals
from streaming.wire import encode

S = 10**9


class Wall:
    """A wall clock that is moved by hand."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def journal(path: Path, wall: Wall | None = None, **limits: int) -> Journal:
    bounds = {"span_ns": 600 * S, "max_bytes": 10**6, **limits}
    return Journal(str(path / "journal"), unix_ns=wall or Wall(), **bounds)


def add(kept: Journal, seqs: range | list[int], *, epoch: int = 7, size: int = 10) -> None:
    for seq in seqs:
        kept.add(epoch, "cam", seq, (b"t", b"x" * size))


def numbers(kept: Journal, first: int, last: int, epoch: int = 7) -> tuple[list[int], bool]:
    rows, more = kept.between(epoch, "cam", first, last, 10**6)
    return [row[0] for row in rows], more


def test_what_one_publisher_kept_the_next_one_finds(tmp_path: Path):
    first = journal(tmp_path)
    add(first, range(1, 6))
    first.close()
    second = journal(tmp_path)
    add(second, range(1, 3), epoch=8)
    assert numbers(second, 3, 2**53) == ([3, 4, 5], False)
    assert numbers(second, 1, 9, epoch=8) == ([1, 2], False)
    assert numbers(second, 1, 9, epoch=9) == ([], False)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


def test_what_was_not_kept_is_a_hole_between_two_runs(tmp_path: Path):
    kept = journal(tmp_path)
    add(kept, [1, 2, 5, 6])
    assert numbers(kept, 1, 9) == ([1, 2], True)
    assert numbers(kept, 3, 9) == ([5, 6], False)
    rows, more = kept.between(7, "cam", 1, 9, 1)
    assert ([r[0] for r in rows], more) == ([1], True)


def test_it_keeps_no_more_and_no_longer_than_it_may(tmp_path: Path):
    wall = Wall()
    kept = journal(tmp_path, wall, span_ns=10 * S, max_bytes=50_000)
    add(kept, range(1, 20 * TIDY_EVERY + 1), size=1000)
    rows, _ = kept.between(7, "cam", 1, 2**53, 10**9)
    assert rows[-1][0] == 20 * TIDY_EVERY
    assert 48_000 <= sum(len(r[1]) + len(r[2]) for r in rows) <= 50_000
    kept_bytes = (tmp_path / "journal").stat().st_size
    assert kept_bytes < 400_000  # 1.3 MB have gone through it
    wall.now_ns = 11 * S
    add(kept, range(1, TIDY_EVERY + 1), epoch=8)
    assert numbers(kept, 1, 2**53) == ([], False)


def test_a_full_disk_costs_the_journal_only_is_told_once_and_passes(tmp_path: Path):
    wall = Wall()
    kept = journal(tmp_path, wall)
    add(kept, [1])
    kept._database.execute("PRAGMA max_page_count = 8")  # as SQLite sees a full disk
    add(kept, range(2, 5), size=50_000)
    ((works, why),) = kept.news()
    assert not works
    assert "full; messages are kept in memory only" in why
    assert kept.news() == []
    kept._database.execute("PRAGMA max_page_count = 1000000")
    add(kept, [5])  # too early to try again
    wall.now_ns = RETRY_NS
    add(kept, [6])
    assert [works for works, _ in kept.news()] == [True]
    assert numbers(kept, 1, 9) == ([1], True)
    assert numbers(kept, 2, 9) == ([6], False)


def test_a_damaged_file_is_set_aside(tmp_path: Path):
    (tmp_path / "journal").write_bytes(b"no database at all" * 100)
    kept = journal(tmp_path)
    add(kept, [1])
    assert numbers(kept, 1, 1) == ([1], False)
    assert list(tmp_path.glob("journal.damaged-*"))


def test_a_file_in_use_or_out_of_reach_is_refused(tmp_path: Path):
    kept = journal(tmp_path)
    with pytest.raises(SinkError, match="another program uses it"):
        journal(tmp_path)
    kept.close()
    with pytest.raises(SinkError, match=r"No such file.*give another output\.journal"):
        Journal(str(tmp_path / "no" / "journal"), span_ns=S, max_bytes=1)


WRITER = """
import sys
from streaming.journal import Journal
kept = Journal(sys.argv[1], span_ns=10**12, max_bytes=10**8)
for seq in range(1, 10**6):
    kept.add(7, "cam", seq, (b"t", b"x" * 500))
    print(seq, flush=True)
"""


def test_what_was_said_to_be_kept_survives_a_kill(tmp_path: Path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "journal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(200)]
        os.kill(writer.pid, signal.SIGKILL)
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    rows, _ = journal(tmp_path).between(7, "cam", 1, 2**53, 10**9)
    assert [row[0] for row in rows][: len(said)] == said
    assert len(rows) - len(said) <= 1  # one may have been kept and not said


@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(1, 30)), max_size=30, unique=True),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_a_reply_is_the_first_run_of_what_is_kept(
    tmp_path_factory: pytest.TempPathFactory, kept: list[tuple[int, int]], first: int, last: int
):
    book = journal(tmp_path_factory.mktemp("journal"))
    for epoch, seq in kept:
        add(book, [seq], epoch=epoch)
    wanted = sorted(s for e, s in kept if e == 1 and first <= s <= last)
    run = [s for i, s in enumerate(wanted) if s == wanted[0] + i]
    assert numbers(book, first, last, epoch=1) == (run, len(run) < len(wanted))
    book.close()


def test_a_ring_with_a_journal_answers_for_an_epoch_that_is_over(tmp_path: Path):
    def health(epoch: int, seq: int) -> tuple[bytes, bytes]:
        return encode(Health(stream="cam", epoch=epoch, seq=seq, kind=HealthKind.GAP, t_ns=0))

    book = journal(tmp_path)
    ring = Ring(span_ns=S, max_bytes=10**6, journal=book)
    for epoch, seq in ((7, 1), (7, 2), (8, 1)):
        ring.add(*health(epoch, seq), now_ns=0)
    asked = {"type": "replay", "stream": "cam", "epoch": 7, "first": 2, "last": 2**53, "id": 3}
    header, *frames = ring.answer(json.dumps(asked).encode())
    told = json.loads(header)
    assert (told["epoch"], told["first"], told["last"], told["id"]) == (7, 2, 2, 3)
    assert tuple(frames) == health(7, 2)
    asked |= {"last": 10**30}
    assert json.loads(ring.answer(json.dumps(asked).encode())[0])["type"] in ("replay", "refused")


def test_the_events_that_a_publisher_left_open_are_known_to_the_next(tmp_path: Path):
    # epoch 7   face-1 |3 ----------- 51 ✝      (and what is of no known version)
    # epoch 8                               end
    def say(kept: Journal, epoch: int, seq: int, phase: Phase) -> None:
        event = Event(stream="cam", epoch=epoch, seq=seq, id="face-1", kind="face", phase=phase,
                      start_ns=3, end_ns=None, label="face", score=1.0, evidence={})  # fmt: skip
        kept.add(epoch, "cam", seq, encode(event))

    first = journal(tmp_path)
    assert first.left_open() == ()
    say(first, 7, 1, Phase.START)
    add(first, [2])
    for index in (0, 1):
        result = Result(stream="cam", epoch=7, seq=3 + index, index=index, start_ns=index,
                        end_ns=index + 50, closed_by=ClosedBy.WATERMARK, sentiment=None,
                        arousal=None, emotions=None, modalities={}, signals=Signals(),
                        model="m")  # fmt: skip
        first.add(7, "cam", 3 + index, encode(result))
    first.close()
    second = journal(tmp_path)
    (end,) = second.left_open()
    assert (end.id, end.phase, end.end_ns) == ("face-1", Phase.END, 51)
    say(second, 8, 1, Phase.END)
    assert second.left_open() == ()
    second.close()


def test_the_last_numbers_outlive_the_messages(tmp_path: Path):
    # epoch 7   cam 1 2, then nothing for long     8: cam 1 .. , until those of 7 have been let go
    wall = Wall()
    kept = journal(tmp_path, wall, span_ns=10 * S)
    add(kept, [1, 2])
    wall.now_ns = 11 * S
    add(kept, range(1, TIDY_EVERY), epoch=8)
    assert numbers(kept, 1, 9) == ([], False)
    assert kept.last_seq(7) == ({"cam": 2}, True)
    assert kept.last_seq(8) == ({"cam": TIDY_EVERY - 1}, True)
    assert kept.last_seq(9) == ({}, False)


def test_what_is_known_of_old_epochs_is_bounded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("streaming.journal.MOST_GONE", 3)
    monkeypatch.setattr("streaming.journal.MOST_EPOCHS", 3)
    monkeypatch.setattr("streaming.journal.TIDY_EVERY", 1)
    kept = journal(tmp_path, max_bytes=1)
    for epoch in range(1, 10):
        add(kept, [1], epoch=epoch)
    tables = {table: kept._database.execute(f"SELECT epoch FROM {table}").fetchall()
              for table in ("gone", "begun")}  # fmt: skip
    assert tables == {"gone": [(7,), (8,), (9,)], "begun": [(7,), (8,), (9,)]}


def test_epochs_are_told_in_the_order_in_which_they_began(tmp_path: Path):
    kept = journal(tmp_path)
    for epoch in (7, 5, 9):  # the wall clock was set back in between
        add(kept, [1], epoch=epoch)
    assert kept.later(7) == [5, 9]
    assert kept.later(5) == [9]
    assert kept.later(9) == []
    assert kept.later(6) == [7, 9]  # never heard of: by their numbers


def test_who_was_killed_on_a_full_disk_may_have_said_more(tmp_path: Path):
    # epoch 7   1 [full] ✝      8: the file tells of it, also to the one after
    first = journal(tmp_path)
    add(first, [1])
    first._database.execute("PRAGMA max_page_count = 8")
    add(first, [2], size=50_000)
    assert first.last_seq(7) == ({"cam": 1}, False)
    first.close()
    second = journal(tmp_path)
    assert second.last_seq(7) == ({"cam": 1}, False)
    second.close()
    third = journal(tmp_path)
    add(third, [1], epoch=8)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600
    third.close()
    fourth = journal(tmp_path)
    assert fourth.last_seq(7) == ({"cam": 1}, False)
    assert fourth.last_seq(8) == ({"cam": 1}, True)


def test_who_could_write_again_has_left_messages_out_all_the_same(tmp_path: Path):
    # epoch 7   cam 1 | full: 2 | cam 3       of other streams nobody knows
    wall = Wall()
    kept = journal(tmp_path, wall)
    add(kept, [1])
    kept._database.execute("PRAGMA max_page_count = 8")
    add(kept, [2], size=50_000)
    kept._database.execute("PRAGMA max_page_count = 1000000")
    wall.now_ns = RETRY_NS
    add(kept, [3])
    kept.close()
    again = journal(tmp_path)
    assert again.last_seq(7) == ({"cam": 3}, False)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


def test_values_of_a_wrong_kind_in_what_is_known_of_old_epochs_are_damage(tmp_path: Path):
    wall = Wall()
    for damage in ("INSERT INTO gone (epoch, stream, seq) VALUES (1, x'00', 1)",
                   "INSERT INTO begun (epoch, lapsed) VALUES (1, 'x')"):  # fmt: skip
        wall.now_ns += 1
        kept = journal(tmp_path, wall)
        add(kept, [1])
        with kept._database:
            kept._database.execute(damage)
        kept.close()
        again = journal(tmp_path, wall)
        assert again.last_seq(7) == ({}, False)
        again.close()
    assert len(list(tmp_path.glob("journal.damaged-*"))) == 2
