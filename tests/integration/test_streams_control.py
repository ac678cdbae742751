"""Streams come and go on a running pipeline, by commands over a guarded socket."""

from __future__ import annotations

import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from attune.streams import ask
from streaming.control import (
    REQUEST_BYTES,
    AddRequest,
    Done,
    ListRequest,
    PauseRequest,
    Refused,
    RemoveRequest,
    ResumeRequest,
    State,
    StreamState,
    decode_reply,
    encode,
)
from streaming.control_port import ControlPort
from streaming.errors import UsageError
from streaming.keys import (
    ClientKeys,
    make_client_keys,
    make_server_keys,
    read_client_keys,
    read_server_keys,
    use_keys,
)
from streaming.settings import StreamSettings
from streaming.source_settings import MediaSettings, SyntheticSettings
from tests.integration.conftest import ANY_PORT, messages, start
from tests.integration.test_trouble import wait_for_lines

WAIT_S = 60.0


def until(holds: Callable[[], bool], what: str) -> None:
    """Poll: another process is at work, there is no event to wait for."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def state_of(states: tuple[StreamState, ...]) -> dict[str, State]:
    return {s.name: s.state for s in states}


def results_of(path: Path, stream: str) -> list[dict]:
    return [m for m in messages(path, "result") if m["stream"] == stream]


def test_streams_are_added_paused_resumed_and_removed_while_a_run_goes_on(
    clip: tuple[Path, Path], tmp_path: Path, running: list
) -> None:
    # door  |-- windows --| paused |-- windows ------------------|
    # hall      |-- windows -----------------| removed |-- again: a file from its beginning
    control, out = f"ipc://{tmp_path}/control", tmp_path / "out.jsonl"
    config = tmp_path / "run.yaml"
    config.write_text("streams: [{name: door, sources: [{kind: synthetic}]}]\n")
    run = start("run", config, "--control", control, "--publish", ANY_PORT, "--output", out)
    running.append(run)
    wait_for_lines(out, 3)

    hall = StreamSettings(name="hall", sources=(SyntheticSettings(),))
    assert state_of(ask(control, AddRequest(stream=hall)))["hall"] is State.RUNNING
    with pytest.raises(UsageError, match="'hall' is running already"):
        ask(control, AddRequest(stream=hall))
    assert state_of(ask(control, PauseRequest(stream="door")))["door"] is State.PAUSED
    before = results_of(out, "door")[-1]["index"]
    until(lambda: len(results_of(out, "hall")) >= 4, "hall has no results")
    assert results_of(out, "door")[-1]["index"] == before  # nothing came of it meanwhile
    assert state_of(ask(control, ResumeRequest(stream="door")))["door"] is State.RUNNING
    until(lambda: results_of(out, "door")[-1]["index"] > before, "door did not go on")

    assert state_of(ask(control, RemoveRequest(stream="hall")))["hall"] is State.ENDED
    lost = StreamSettings(name="hall", sources=(MediaSettings(url=f"{tmp_path}/no.mp4"),))
    with pytest.raises(UsageError, match=r"no\.mp4: no such file"):
        ask(control, AddRequest(stream=lost))
    first_life = results_of(out, "hall")[-1]["index"]
    again = StreamSettings(name="hall", sources=(MediaSettings(url=str(clip[0])),))
    ask(control, AddRequest(stream=again))
    until(lambda: state_of(ask(control, ListRequest()))["hall"] is State.ENDED, "no end of hall")
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)

    assert run.returncode == 128 + signal.SIGTERM, said
    assert "Traceback" not in said
    for stream in ("door", "hall"):
        every = [m for m in messages(out) if m.get("stream") == stream]
        assert [m["seq"] for m in every] == list(range(1, len(every) + 1))
        indices = [m["index"] for m in results_of(out, stream)]
        assert indices == sorted(set(indices))
        assert not [m for m in every if m.get("kind") == "gap" and m["modality"] is None]
    second_life = [m for m in results_of(out, "hall") if m["index"] > first_life]
    assert second_life[-1]["end_ns"] - second_life[0]["start_ns"] > 5e9  # all of the clip's 6 s
    told = ("stream_added", "paused", "resumed", "stream_removed", "stream_ended")
    health = [(m["stream"], m["kind"]) for m in messages(out, "health") if m["kind"] in told]
    assert [kind for stream, kind in health if stream == "door"] == [
        "paused", "stream_ended", "resumed", "stream_ended",
    ]  # fmt: skip
    assert [kind for stream, kind in health if stream == "hall"] == [
        "stream_added", "stream_removed", "stream_ended", "stream_added", "stream_ended",
    ]  # fmt: skip


def connected(context: zmq.Context, port: ControlPort, keys: ClientKeys | None) -> zmq.Socket:
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.LINGER, 0)
    use_keys(socket, keys)
    socket.connect(port.address)
    return socket


def served(port: ControlPort, socket: zmq.Socket, wait_s: float) -> bytes | None:
    """What comes back while the port does its work; None when nothing does in time."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        for way, _ in port.receive():
            port.reply(way, Done(streams=()))
        if socket.poll(10):
            return socket.recv()
    return None


def test_only_listed_keys_and_whole_requests_get_an_answer(tmp_path: Path) -> None:
    make_server_keys(tmp_path / "server")
    make_client_keys(tmp_path / "server", tmp_path / "friend", "friend")
    make_server_keys(tmp_path / "other")
    make_client_keys(tmp_path / "other", tmp_path / "stranger", "stranger")
    friend = read_client_keys(tmp_path / "friend")
    stranger = ClientKeys(read_client_keys(tmp_path / "stranger").pair, friend.server)
    port = ControlPort("tcp://127.0.0.1:*", read_server_keys(tmp_path / "server"))
    asked = encode(ListRequest())
    with zmq.Context() as context:
        answers = []
        for keys, request, wait_s in (
            (stranger, asked, 0.5),
            (None, asked, 0.5),
            (friend, b"x" * (REQUEST_BYTES + 1), 0.5),
            (friend, b'{"type":"pause"}', 5.0),
            (friend, asked, 5.0),
        ):
            with connected(context, port, keys) as socket:
                socket.send(request)
                answers.append(served(port, socket, wait_s))
    port.close()

    assert answers[:3] == [None, None, None]
    refused = decode_reply(answers[3] or b"")
    assert isinstance(refused, Refused)
    assert "missing required field `stream`" in refused.reason
    assert isinstance(decode_reply(answers[4] or b""), Done)


def test_a_path_is_open_to_its_owner_only_and_a_port_wants_keys(tmp_path: Path) -> None:
    port = ControlPort(f"ipc://{tmp_path}/control")
    mode = stat.S_IMODE((tmp_path / "control").stat().st_mode)
    port.close()
    assert mode == 0o600
    with pytest.raises(UsageError, match="expected keys"):
        ControlPort("tcp://127.0.0.1:*")
