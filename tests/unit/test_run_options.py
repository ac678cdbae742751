"""The command line: every mistake is one line on standard error, with the right exit code."""

from __future__ import annotations

import pytest

from attune.cli import main


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "nothing to analyse"),
        (["run", "nothere.yaml"], 2, "nothere.yaml not found"),
        (["run", "--fats"], 2, "No such option"),
        (["runn"], 2, "No such command"),
        (["run", "--media", "x", "--set", "windows.hop=1"], 2, "did you mean 'hop_ms'?"),
        (["run", "--media", "x", "--set", "sync.correct=true"], 2, "also set vision.light_hz"),
        (["watch", "nonsense"], 2, "nonsense"),
    ],
)
def test_a_mistake_is_one_line(arguments, code, words, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    assert left.value.code == code
    assert words in said.err.splitlines()[0]
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_version(capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("attune 0.")
