"""The doctor: a check fails only where a run would, and says what to do."""

from __future__ import annotations

import json
import socket
from importlib import metadata
from pathlib import Path

import pytest

from attune import config
from attune.cli import main
from attune.doctor import (
    State,
    addresses,
    clock,
    devices_wanted,
    files,
    gpu,
    libraries,
    python,
    speech,
)


def settings(**tree: object):
    return config.settings(dict(tree))


def test_the_interpreter():
    assert python((3, 11)).state is State.OK
    assert python((3, 10)).state is State.FAIL
    assert python((3, 13)).state is State.FAIL


def test_libraries_are_named_with_what_was_expected():
    def installed(name: str) -> str:
        if name == "gone":
            raise metadata.PackageNotFoundError
        return {"old": "1.0", "new": "3.1"}[name]

    assert libraries(["new>=3", 'gone; extra == "demo"'], installed).state is State.OK
    found = libraries(["old>=2", "gone"], installed)
    assert found.state is State.FAIL
    assert found.found == "old 1.0, expected >=2; gone is missing"


@pytest.mark.parametrize(
    ("torch", "tool", "device", "state"),
    [
        ("2.13.0+cpu", None, "auto", State.OK),
        ("2.13.0+cpu", "/bin/nvidia-smi", "auto", State.NOTE),
        ("2.13.0", "/bin/nvidia-smi", "cuda", State.OK),
        ("2.13.0+cpu", None, "cuda", State.FAIL),
    ],
)
def test_a_gpu_is_needed_only_where_it_is_asked_for(torch, tool, device, state):
    assert gpu(torch, tool, device).state is state


def test_a_missing_device_fails_only_where_a_stream_asks_for_it():
    asked = settings(streams=[{"sources": [{"kind": "camera"}]}])
    found = {f.check: f.state for f in devices_wanted(asked, [])}
    assert found == {"cameras": State.FAIL, "microphones": State.NOTE}
    found = {f.check: f.state for f in devices_wanted(asked, [("camera", 0, "lens", "")])}
    assert found["cameras"] is State.OK


def test_an_address_that_is_taken_or_public_fails():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        (found,) = addresses(settings(output={"publish": address}))
    assert found.state is State.FAIL
    assert "choose another port" in found.remedy
    (found,) = addresses(settings(output={"publish": "tcp://0.0.0.0:7100"}))
    assert found.state is State.FAIL
    assert "attune keys" in found.remedy
    (found,) = addresses(settings(output={"publish": "tcp://127.0.0.1:*"}))
    assert found.state is State.OK


def test_files_that_are_not_there_fail(tmp_path: Path):
    here = tmp_path / "here.mp4"
    here.touch()
    sources = [{"kind": "media", "url": str(p)} for p in (here, tmp_path / "gone.mp4")]
    output = {"file": str(tmp_path / "no" / "out.jsonl")}
    found = files(settings(streams=[{"sources": sources}], output=output))
    assert [f.state for f in found] == [State.OK, State.FAIL, State.FAIL]


def test_an_unknown_clock_is_not_guessed():
    assert clock(None).state is State.NOTE
    assert clock(True).state is State.OK


def test_the_command_says_in_json_what_fails(tmp_path: Path, capsys):
    bad = ["--set", "output.publish=tcp://0.0.0.0:7100"]
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--json", *bad])
    findings = {f["check"]: f["state"] for f in json.loads(capsys.readouterr().out)}
    assert left.value.code == 1
    assert findings["publish"] == "fail"
    assert findings["libraries"] == findings["weights"] == "ok"


def test_live_words_are_looked_at_without_a_call(tmp_path: Path):
    (tmp_path / "there").mkdir()
    paths = [
        f"tail:{tmp_path}/there/chat.txt",
        f"tail:{tmp_path}/gone/chat.txt",
        "ws://127.0.0.1:1/?token=secret",
        "ws://chat.example/?token=secret",
    ]
    found = list(
        files(settings(streams=[{"sources": [{"kind": "text", "path": p}]} for p in paths]))
    )
    assert [f.state for f in found] == ["ok", "fail", "ok", "fail"]
    assert found[3].remedy == "use wss://"
    assert not [f for f in found if "secret" in f.found + f.remedy]


def test_engines_of_speech_to_text_are_loaded():
    sources = [{"kind": "media", "url": "call.mp4"}]

    def found(windows: dict[str, float], **wanted: object):
        stream = {"sources": sources, "speech_to_text": wanted}
        (finding,) = speech(settings(streams=[stream], windows=windows))
        return finding

    later = {"revise_ms": 5000.0}
    assert found(later, engine="pocketsphinx").state is State.OK
    missing = found(later, engine="faster-whisper", model="/nowhere/small")
    assert (missing.state, missing.remedy[:8]) == (State.FAIL, "expected")
    hasty = found({}, engine="pocketsphinx")
    assert (hasty.state, hasty.remedy) == (State.FAIL, "give --set windows.revise_ms=10000")
