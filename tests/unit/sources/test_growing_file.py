"""A text file that another program appends to."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.clock import HandClock
from streaming.errors import SourceError
from streaming.health import Health
from streaming.packets import Packet
from streaming.source_settings import TextSettings
from streaming.sources.base import Item
from streaming.sources.text import TextSource
from streaming.sources.text_input import GrowingFile

S = 10**9


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def follow(path: Path) -> TextSource:
    return TextSource(TextSettings(path=str(path), follow=True), stream="s", clock=HandClock(7 * S))


def test_only_what_is_appended_from_now_on_is_read_and_dated_when_it_comes(tmp_path: Path):
    path = tmp_path / "chat.txt"
    path.write_bytes(b"old\n")
    source = follow(path)
    items = source.items()
    append(path, b'hello\n{"text": "typed", "speaker": "Eve"}\nhalf')
    assert source.live
    first, second = next(items), next(items)
    append(path, b" line\n")
    third = next(items)
    source.close()
    assert list(items) == []
    texts = [item.payload.text for item in (first, second, third) if isinstance(item, Packet)]
    assert texts == ["hello", "typed", "half line"]
    assert first.t_ns == 7 * S


def test_a_file_that_is_rotated_goes_on_in_the_new_one(tmp_path: Path):
    # chat.txt  a b | renamed, c is still written to it | a new chat.txt: d
    path = tmp_path / "chat.txt"
    path.touch()
    tail = GrowingFile(str(path))
    append(path, b"a\nb\n")
    assert tail.poll() == b"a\nb\n"
    path.rename(tmp_path / "chat.txt.1")
    append(tmp_path / "chat.txt.1", b"c")
    assert tail.poll() == b"c"  # what was under way is not lost
    append(path, b"d\n")
    assert tail.poll() == b"\nd\n"  # and not joined with what is new
    tail.release()


def test_a_file_that_was_emptied_is_read_from_its_beginning(tmp_path: Path):
    path = tmp_path / "chat.txt"
    path.write_bytes(b"long long ago\n")
    tail = GrowingFile(str(path))
    path.write_bytes(b"now\n")
    assert tail.poll() == b"\nnow\n"
    tail.release()


def test_a_file_that_is_not_there_is_told_of_and_waited_for(tmp_path: Path):
    path = tmp_path / "chat.txt"
    source = follow(path)
    items = source.items()
    lost = next(items)
    append(path, b"here\n")
    back, words = next(items), next(items)
    assert [i.kind for i in (lost, back) if isinstance(i, Health)] == ["source_lost", "recovered"]
    assert isinstance(words, Packet)
    path.unlink()
    gone = next(items)
    assert isinstance(gone, Health)
    assert gone.detail == f"{path} is not there; waiting for it"
    source.close()


def test_closing_ends_a_read_that_waits(tmp_path: Path):
    source = follow(tmp_path / "chat.txt")
    (tmp_path / "chat.txt").touch()
    got: list[Item] = []
    reader = threading.Thread(target=lambda: got.extend(source.items()))
    reader.start()
    source.close()
    source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()


def test_subtitles_and_folders_cannot_be_followed(tmp_path: Path):
    with pytest.raises(SourceError, match=r"plain text or JSON lines; got \.srt"):
        follow(tmp_path / "a.srt")
    with pytest.raises(SourceError, match="is a directory"):
        follow(tmp_path)


LINES = st.lists(st.text(alphabet="abc é", min_size=1, max_size=6), min_size=1, max_size=8)


@given(lines=LINES, cuts=st.lists(st.integers(0, 60), max_size=6), rotate=st.integers(0, 60))
def test_however_it_is_written_and_rotated_every_byte_comes_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cuts: list[int], rotate: int
):
    path = tmp_path_factory.mktemp("tail") / "chat.txt"
    path.touch()
    tail = GrowingFile(str(path))
    data = "".join(f"{line}\n" for line in lines).encode()
    got = b""
    edges = sorted({0, len(data), *(min(c, len(data)) for c in cuts)})
    for i, (start, end) in enumerate(pairwise(edges)):
        if i == rotate:
            path.rename(path.with_suffix(".1"))
        append(path, data[start:end])
        got += tail.poll()
    got += tail.poll()
    tail.release()
    assert got.replace(b"\n", b"") == data.replace(b"\n", b"")


def test_what_only_addresses_have_is_refused(tmp_path: Path):
    for wrong in ({"keys": "keys/bot"}, {"late_ms": 100.0}, {"clock": "tcp://127.0.0.1:1"}):
        with pytest.raises(SourceError, match="keys, late_ms and clock are for addresses"):
            TextSource(TextSettings(path=str(tmp_path / "a"), follow=True, **wrong), stream="s")
