"""`attune rules check`: every mistake by line and column, or what each rule does."""

from __future__ import annotations

from pathlib import Path

import pytest

from attune import config
from attune.rules import check_rules, show_builtin, show_names
from streaming.errors import UsageError

GOOD = """
events:
  rules:
    - name: tense
      when: sentiment < -0.4 and arousal > 0.3
      until: sentiment > -0.2
      for_s: 3
"""
BAD = """
events:
  rules:
    - name: low
      when: sentimnt < 0
    - name: lower
      when: "event.low and words"
    - {name: all_low, across: true, when: count(event.low) > 1 and words > 2}
"""


def test_mistakes_are_told_by_line_and_column_and_do_not_hide_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "rules.yaml"
    path.write_text(BAD)
    assert check_rules(path) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": rule")[0] for line in said] == [
        f"attune: {path}:5:13",
        f"attune: {path}:7:28",
        f"attune: {path}:8:{BAD.splitlines()[7].index('words') + 1}",
    ]
    assert "did you mean 'sentiment'?" in said[0]
    assert "expected a condition, got a number: 'words'" in said[1]
    assert "'words' belongs to one stream" in said[2]


def test_rules_that_are_right_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD)
    assert check_rules(path) == 0
    shown = capsys.readouterr().out
    for word in ("tense", "3 s", "each stream"):
        assert word in shown


def test_names_are_listed(capsys: pytest.CaptureFixture[str]):
    show_names()
    shown = capsys.readouterr().out
    for word in ("sentiment_low", "event.silence", "sound.dogbark", "a condition"):
        assert word in shown


def test_a_file_without_rules_and_a_wrong_key_say_so(tmp_path: Path):
    path = tmp_path / "rules.yaml"
    path.write_text("events: {speech_on: 0.4}\n")
    with pytest.raises(UsageError, match=r"expected rules under events\.rules, found none"):
        check_rules(path)
    path.write_text(GOOD.replace("until", "untill"))
    with pytest.raises(UsageError, match="did you mean 'until'"):
        check_rules(path)


def test_every_shipped_configuration_with_rules_is_right():
    checked = [p for p in Path("configs").glob("*.yaml") if "rules" in p.read_text()]
    assert checked
    for path in checked:
        assert check_rules(path) == 0
        assert config.settings(config.load(path)).events.rules


def test_the_builtin_rules_are_shown_as_a_configuration_would_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    show_builtin()
    shown = capsys.readouterr().out
    path = tmp_path / "rules.yaml"
    indented = "".join(f"    {line}\n" for line in shown.splitlines())
    path.write_text(f"events:\n  rules:\n{indented}")
    assert check_rules(path) == 0
    assert "silence" in capsys.readouterr().out
