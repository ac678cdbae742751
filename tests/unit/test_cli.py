"""The command line: what is wrongly asked is one line that says where to look."""

from __future__ import annotations

import io
import sys

import pytest

from attune import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "attune: No such command 'rnu'. Did you mean 'run'?; attune --help shows"),
        (["run", "a", "b"], "extra argument(s) (b); attune run --help shows what can be asked"),
        (
            ["streams", "list"],
            "'--control' (env var: 'ATTUNE_CONTROL'); attune streams list --help",
        ),
        (["keys", "client", "x"], "Missing option '--server'; attune keys client --help"),
    ],
)
def test_a_wrong_command_line_names_the_help_of_its_command(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ATTUNE_CONTROL", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_no_summary_of_a_command_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_what_a_terminals_encoding_lacks_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    monkeypatch.setattr("json.dumps", lambda *_, **__: "caf\u00e9 \u2026")
    with pytest.raises(SystemExit):
        cli.main(["schema"])
    sys.stdout.flush()
    assert written.getvalue() == b"caf\xe9 ?\n"
