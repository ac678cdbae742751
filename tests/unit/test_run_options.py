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
        (
            ["run", "--media", "x", "--set", "sync.correct=true"],
            2,
            "also set vision.light_hz or vision.mouth_hz",
        ),
        (["run", "--media", "x", "--inline", "--address", "auto"], 2, "leave out --inline"),
        (["run", "node.yaml"], 2, "give --address HOST:PORT of its head (or auto), or leave node"),
        (["run", "--media", "x", "--address", "ray://h:1"], 2, "expected HOST:PORT of the head"),
        (["run", "--media", "x", "--address", "127.0.0.1:1"], 1, "nobody answers there"),
        (["watch", "nonsense"], 2, "nonsense"),
    ],
)
def test_a_mistake_is_one_line(arguments, code, words, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    stream = "{name: door, node: porch, sources: [{kind: synthetic}]}"
    (tmp_path / "node.yaml").write_text(f"streams: [{stream}]")
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
