"""`attune explain` on a real clip, and what it says when it cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from attune.cli import main

pytest.importorskip("captum")
WORDS = "1\n00:00:00,500 --> 00:00:02,000\nthis is <b>terrible</b> & awful\n"


def asked(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["explain", *arguments])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_a_page_that_needs_nothing_else(media, tmp_path: Path, capsys) -> None:
    words, page = tmp_path / "words.srt", tmp_path / "why.html"
    words.write_text(WORDS)
    clip = str(media / "grid_bbaf2n.mp4")
    code, out, err = asked(
        capsys, clip, "--text", str(words), "--at", "1", "--output", str(page), "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["start_s"] == 0 and found["end_s"] == 2
    total = found["prior"] + sum(found["contributions"].values())
    assert total == pytest.approx(found["sentiment"], abs=1e-3)
    assert set(found["modalities"]) >= {"video", "text"}
    for parts in found["modalities"].values():
        for part in parts.values():
            assert abs(part["gap"]) <= 0.02 * max(abs(part["score"] - part["baseline"]), 0.05)
    html = page.read_text()
    assert not re.search(r"https?://|<script|<link|url\(|@import|src=\"(?!data:)", html)
    assert "written only because it was asked for" in html
    assert "terrible" in html
    assert str(page) in err and "treat it as a recording" in " ".join(err.split())


def test_a_picture(media, tmp_path: Path, capsys) -> None:
    target = tmp_path / "why.png"
    clip = str(media / "grid_bbaf2n.mp4")
    code, out, err = asked(
        capsys, clip, "--at", "1", "--target", "sentiment", "--output", str(target)
    )
    assert code == 0, err
    assert target.read_bytes().startswith(b"\x89PNG")
    assert "sentiment" in out
    assert [p.name for p in tmp_path.iterdir()] == ["why.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--at", "99"], 2, "the last window ends at"),
        (["--at", "-1"], 2, "expected seconds"),
        (["--at", "nan"], 2, "expected seconds"),
        (["--at", "1", "--target", "joy"], 2, "expected one of: sentiment"),
        (["--at", "1", "--output", "x.pdf"], 2, "ends in .html or .png"),
        (["--at", "1", "--output", "nowhere/x.html"], 2, "does not exist"),
        ([], 2, "--at"),
    ],
)
def test_mistakes_are_one_line(media, capsys, arguments, code, words) -> None:
    got, out, err = asked(capsys, str(media / "grid_bbaf2n.mp4"), *arguments)
    assert (got, out) == (code, "")
    assert words in " ".join(err.split())
    assert len(err.splitlines()) == 1


def test_nothing_in_the_window(tmp_path: Path, capsys) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:09,000 --> 00:00:10,000\nhello\n")
    code, out, err = asked(capsys, "--text", str(words), "--at", "3")
    assert (code, out) == (1, "")
    assert "not enough evidence" in err and len(err.splitlines()) == 1
