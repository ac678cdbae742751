"""Words from files and from standard input; bad lines cost only themselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_items import Taken, take

from streaming.clock import HandClock
from streaming.errors import SourceError
from streaming.packets import Modality
from streaming.results import HealthKind
from streaming.source_settings import TextSettings
from streaming.sources.text import MAX_FILE_BYTES, TextSource
from streaming.sources.text_formats import BadLine, Line, parse_json_line

S = 1_000_000_000
MS = 1_000_000


def read(path: Path, content: str | bytes, **settings: str) -> Taken:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return take(TextSource(TextSettings(path=str(path), **settings), stream="s"))


def words(taken: Taken) -> list[tuple[int, int, str, str]]:
    return [
        (p.t_ns // MS, p.duration_ns // MS, p.payload.speaker, p.payload.text) for p in taken.text
    ]


def faults(taken: Taken) -> list[str]:
    assert all(h.kind is HealthKind.CORRUPT for h in taken.health())
    return [h.detail for h in taken.health()]


SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> there,
{\\an8}you &amp; me.

2
00:00:03,000 --> 00:00:04,000
ANNA: I am here.

"""


def test_srt(tmp_path):
    taken = read(tmp_path / "a.srt", SRT)
    assert words(taken) == [
        (1000, 1500, "", "Hello there, you & me."),
        (3000, 1000, "ANNA", "I am here."),
    ]
    assert taken.ends == {Modality.TEXT: 4 * S}
    assert faults(taken) == []


def test_vtt_with_voices(tmp_path):
    vtt = (
        "WEBVTT\n\nNOTE a remark\n\nintro\n00:01.000 --> 00:02.000 align:start\n"
        "<v.loud Bob Jones>Good <b>day</b></v>\n\n01:00:00.500 --> 01:00:01.000\nlate\n"
    )
    taken = read(tmp_path / "a.vtt", vtt)
    assert words(taken) == [(1000, 1000, "Bob Jones", "Good day"), (3_600_500, 500, "", "late")]


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    taken = read(tmp_path / "a.srt", b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode())
    assert [w[3] for w in words(taken)] == ["Hello there, you & me.", "I am here."]


def test_utf16(tmp_path):
    assert len(read(tmp_path / "a.srt", SRT.encode("utf-16")).text) == 2


def test_a_bad_timing_costs_one_cue(tmp_path):
    bad = SRT.replace("00:00:01,000 -->", "-00:00:01,000 -->")
    taken = read(tmp_path / "a.srt", bad)
    assert [w[3] for w in words(taken)] == ["I am here."]
    (fault,) = faults(taken)
    assert f"{tmp_path / 'a.srt'}, line 2: " in fault
    assert "is no timing" in fault


def test_a_cue_that_ends_before_it_starts(tmp_path):
    taken = read(tmp_path / "a.srt", "1\n00:00:05,000 --> 00:00:02,000\nno\n")
    assert taken.text == []
    assert "line 2: the cue ends before it starts" in faults(taken)[0]


def test_cues_in_any_order_and_overlapping(tmp_path):
    taken = read(
        tmp_path / "a.srt",
        "1\n00:00:05,000 --> 00:00:09,000\nb\n\n2\n00:00:01,000 --> 00:00:06,000\na\n",
    )
    assert [w[3] for w in words(taken)] == ["a", "b"]
    assert [p.seq for p in taken.text] == [0, 1]
    assert taken.ends[Modality.TEXT] == 9 * S


def test_a_cue_lasts_at_most_30_seconds(tmp_path):
    taken = read(tmp_path / "a.srt", "1\n00:00:00,000 --> 01:00:00,000\nlong\n")
    assert taken.text[0].duration_ns == 30 * S


def test_a_file_without_cues(tmp_path):
    taken = read(tmp_path / "a.srt", "just prose\nand more\n")
    assert "no cue in the whole file" in faults(taken)[0]
    assert taken.ends == {Modality.TEXT: 0}


def test_an_empty_file_is_no_fault(tmp_path):
    taken = read(tmp_path / "a.jsonl", "")
    assert (taken.text, faults(taken), taken.ends) == ([], [], {Modality.TEXT: 0})


def test_json_lines(tmp_path):
    taken = read(
        tmp_path / "a.jsonl",
        '{"t": 1.5, "text": " hi ", "duration": 2, "speaker": "A", "is_final": false}\n\n'
        '{"t_ms": 500, "text": "first", "end": 0.75}\n'
        '{"t_ns": 2000000000, "text": "last", "language": "de"}\n',
        language="en",
    )
    assert words(taken) == [
        (500, 250, "", "first"),
        (1500, 2000, "A", "hi"),
        (2000, 0, "", "last"),
    ]
    assert [p.payload.language for p in taken.text] == ["en", "en", "de"]
    assert [p.payload.is_final for p in taken.text] == [True, False, True]
    assert taken.ends[Modality.TEXT] == 3500 * MS


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{nonsense", "is not JSON"),
        ("[1, 2]", "is a JSON list; expected an object"),
        ('{"t": 1}', "has no words"),
        ('{"t": 1, "text": 7}', "has no words"),
        ('{"t": 1, "text": "  "}', "has no words"),
        ('{"text": "x"}', "has no time"),
        ('{"t": -1, "text": "x"}', "outside 0 to one year"),
        ('{"t": NaN, "text": "x"}', "not finite"),
        ('{"t": Infinity, "text": "x"}', "not finite"),
        ('{"t": 1e300, "text": "x"}', "outside 0 to one year"),
        ('{"t": ' + "9" * 400 + ', "text": "x"}', "outside 0 to one year"),
        ('{"t": "1", "text": "x"}', "not a number"),
        ('{"t": true, "text": "x"}', "not a number"),
        ('{"t": 2, "end": 1, "text": "x"}', "ends before it starts"),
        ('{"t": 2, "duration": -1, "text": "x"}', "outside 0 to one year"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_json_line_costs_itself(tmp_path, row, reason):
    good = '{"t": 1, "text": "good"}'
    taken = read(tmp_path / "a.ndjson", f"{good}\n{row}\n{good}\n")
    assert [w[3] for w in words(taken)] == ["good", "good"]
    (fault,) = faults(taken)
    assert "a.ndjson, line 2: " in fault
    assert reason in fault
    assert "\n" not in fault


def test_bytes_that_are_not_utf8_are_replaced(tmp_path):
    taken = read(tmp_path / "a.jsonl", b'{"t": 1, "text": "caf\xe9"}\n{"t": 2, "text": "ok"}\n')
    assert [w[3] for w in words(taken)] == ["caf\ufffd", "ok"]
    assert faults(taken) == [
        f"{tmp_path / 'a.jsonl'}, line 1: is not UTF-8; bad bytes were replaced"
    ]


def test_a_line_of_a_megabyte_is_cut(tmp_path):
    taken = read(tmp_path / "a.jsonl", '{"t": 1, "text": "' + "x" * 1_000_000 + '"}\n')
    assert len(taken.text[0].payload.text) == 10_000
    assert "has 1000000 characters; cut to 10000" in faults(taken)[0]


def test_very_many_faults_are_summed_up(tmp_path):
    taken = read(tmp_path / "a.jsonl", "bad\n" * 1000)
    assert len(taken.health()) == 101
    assert sum(h.count for h in taken.health()) == 1000


@pytest.mark.parametrize(
    ("name", "reason"), [("none.srt", "no such file"), ("a.docx", "unknown kind of text")]
)
def test_what_cannot_be_opened(tmp_path, name, reason):
    with pytest.raises(SourceError, match=reason):
        TextSource(TextSettings(path=str(tmp_path / name)), stream="s")


def test_a_directory(tmp_path):
    (tmp_path / "d.srt").mkdir()
    with pytest.raises(SourceError, match="is a directory"):
        TextSource(TextSettings(path=str(tmp_path / "d.srt")), stream="s")


def test_a_file_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(SourceError, match="expected at most 64 MB"):
        TextSource(TextSettings(path=str(path)), stream="s")


@given(st.text(max_size=200))
def test_no_text_breaks_the_json_reader(row):
    assert isinstance(parse_json_line(1, row), Line | BadLine)


@given(
    st.dictionaries(
        st.sampled_from(["t", "t_ms", "t_ns", "text", "end", "duration", "speaker", "is_final"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    )
)
def test_whatever_the_fields_hold_times_are_sound(fields):
    import json

    line = parse_json_line(1, json.dumps(fields))
    if isinstance(line, Line):
        assert line.t_ns >= 0
        assert 0 <= line.duration_ns <= 30 * S
        assert line.text.strip()


class Piped:
    """A live source at one end of a pipe, under a clock moved by hand."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        self.clock = HandClock(100 * S)
        self.source = TextSource(TextSettings(path="-"), stream="s", clock=self.clock, fd=reader)
        self.items = self.source.items()

    def write(self, data: bytes) -> None:
        os.write(self.writer, data)


def test_lines_typed_are_stamped_when_they_arrive():
    pipe = Piped()
    assert pipe.source.live
    pipe.write(b"hello\n")
    assert next(pipe.items).t_ns == 100 * S
    pipe.clock.advance(2 * S)
    pipe.write(b'{"t": 5, "text": "typed", "speaker": "Eve"}\nhalf')
    second = next(pipe.items)
    assert (second.t_ns, second.seq) == (102 * S, 1)
    assert (second.payload.text, second.payload.speaker) == ("typed", "Eve")
    pipe.write(b" line\n\n")
    assert next(pipe.items).payload.text == "half line"
    os.close(pipe.writer)
    (end,) = list(pipe.items)
    assert (end.ended, end.t_ns) == (True, 102 * S)


def test_the_last_line_needs_no_newline():
    pipe = Piped()
    pipe.write(b"bye")
    os.close(pipe.writer)
    taken = Taken(list(pipe.items))
    assert [p.payload.text for p in taken.text] == ["bye"]


def test_a_bad_typed_line_is_told_of():
    pipe = Piped()
    pipe.write(b'{"text": \n\xff\xfe ok\n')
    os.close(pipe.writer)
    taken = Taken(list(pipe.items))
    assert "standard input, line 1: is not JSON" in faults(taken)[0]
    assert "standard input, line 2: is not UTF-8" in faults(taken)[1]
    assert len(taken.text) == 1


def test_an_endless_typed_line_takes_bounded_memory():
    pipe = Piped()
    feeder = threading.Thread(target=lambda: (pipe.write(b"y" * 1_000_000), os.close(pipe.writer)))
    feeder.start()
    taken = Taken(list(pipe.items))
    feeder.join()
    assert [len(p.payload.text) for p in taken.text] == [10_000]
    assert len(taken.health()) == 1


def test_closing_ends_a_blocked_read():
    pipe = Piped()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.extend(pipe.items))
    reader.start()
    pipe.source.close()
    reader.join(timeout=10)
    assert not reader.is_alive()
    assert got == []
    pipe.source.close()
