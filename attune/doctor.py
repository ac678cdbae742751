"""`attune doctor`: will a run work on this machine, and what to do where it will not.

Invariant: nothing is changed, no device is opened, nothing is sent; a check that cannot be made
says so instead of guessing. A check fails only where a run would.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from actors.speech_open import require_time
from streaming.errors import AttuneError
from streaming.keys import read_server_keys
from streaming.settings import AttuneSettings
from streaming.sinks.zeromq import BoundSocket
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    TextSettings,
)
from streaming.sources.listen_secrets import read_certificate, read_token
from streaming.sources.text_address import parse_address
from streaming.speech.engine import open_engine

ANSWER_S = 5.0
Device = tuple[str, int, str, str]


class State(StrEnum):
    """What a check came to. `note`: a run works, but not with everything."""

    OK = "ok"
    NOTE = "note"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was found, and what to do."""

    check: str
    state: State
    found: str
    remedy: str = ""


def run_doctor(settings: AttuneSettings, *, as_json: bool) -> int:
    """Print the findings; 1 if one of them fails."""
    findings = list(examine(settings))
    if as_json:
        print(json.dumps(msgspec.to_builtins(findings), indent=2))  # noqa: T201 - asked for
    else:
        Console().print(_table(findings))
    return int(any(f.state is State.FAIL for f in findings))


def examine(settings: AttuneSettings) -> Iterator[Finding]:
    """All checks."""
    from streaming.sources.device_list import list_devices

    devices = list_devices()
    yield python(sys.version_info[:2])
    yield libraries(metadata.requires("attune") or [], metadata.version)
    yield weights(Path(settings.model.path) if settings.model.path else None)
    yield from devices_wanted(settings, devices)
    yield gpu(metadata.version("torch"), shutil.which("nvidia-smi"), settings.model.device)
    yield from addresses(settings)
    yield from files(settings)
    yield from speech(settings)
    yield clock(_synchronised())


def python(version: tuple[int, ...]) -> Finding:
    """The interpreter."""
    found = ".".join(map(str, version))
    if (3, 11) <= version < (3, 13):
        return Finding(check="Python", state=State.OK, found=found)
    remedy = "make the environment with Python 3.11 or 3.12"
    return Finding(check="Python", state=State.FAIL, found=found, remedy=remedy)


def libraries(required: list[str], version: Callable[[str], str]) -> Finding:
    """What the package declares against what is installed."""
    wrong = []
    for wanted in map(Requirement, required):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} {found}, expected {wanted.specifier}")
    if not wrong:
        return Finding(check="libraries", state=State.OK, found="all as required")
    remedy = "pip install --constraint constraints.txt ."
    return Finding(check="libraries", state=State.FAIL, found="; ".join(wrong), remedy=remedy)


def weights(folder: Path | None) -> Finding:
    """The models' files."""
    folder = folder or Path(__file__).parent.parent / "models" / "weights"
    try:
        size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        revision = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        remedy = "install Attune again, or give model.path a folder that attune train wrote"
        return Finding(check="weights", state=State.FAIL, found=str(error), remedy=remedy)
    parts = f"{len(revision)} entries, {size / 1e6:.1f} MB in {folder}"
    return Finding(check="weights", state=State.OK, found=parts)


def devices_wanted(settings: AttuneSettings, devices: list[Device]) -> Iterator[Finding]:
    """Cameras and microphones: a failure only where a stream asks for one."""
    sources = [source for stream in settings.streams for source in stream.sources]
    for kind, wanted in (("camera", CameraSettings), ("microphone", MicrophoneSettings)):
        names = [f"{index}: {name}" for k, index, name, _ in devices if k == kind]
        asked = any(isinstance(source, wanted) for source in sources)
        if names:
            yield Finding(check=f"{kind}s", state=State.OK, found=", ".join(names))
            continue
        yield Finding(
            check=f"{kind}s",
            state=State.FAIL if asked else State.NOTE,
            found="none",
            remedy=f"plug in a {kind}, or allow this user to use it (groups video, audio); "
            "on Debian microphones also need libportaudio2",
        )


def gpu(torch: str, tool: str | None, device: str) -> Finding:
    """Whether PyTorch's build and the machine agree about a GPU."""
    built = not torch.endswith("+cpu")
    found = f"torch {torch}; NVIDIA driver {'found' if tool else 'not found'}"
    if device != "cuda" and not tool:
        return Finding(check="GPU", state=State.OK, found=f"{found}: models run on the CPU")
    if tool and built:
        return Finding(check="GPU", state=State.OK, found=found)
    state = State.FAIL if device == "cuda" else State.NOTE
    remedy = "install the public torch 2.13.0 (with CUDA) and the driver, or set model.device=cpu"
    return Finding(check="GPU", state=state, found=found, remedy=remedy)


def addresses(settings: AttuneSettings) -> Iterator[Finding]:
    """Whether what is to be bound can be bound, with the keys it needs."""
    output = settings.output
    try:
        keys = read_server_keys(Path(output.keys)) if output.keys else None
        if output.publish:
            import zmq

            BoundSocket(zmq.PUB, output.publish, {}, keys).close(0)
            yield Finding(check="publish", state=State.OK, found=f"{output.publish} is free")
    except AttuneError as error:
        found, _, remedy = str(error).partition(": ")
        yield Finding(check="publish", state=State.FAIL, found=found, remedy=remedy)


def files(settings: AttuneSettings) -> Iterator[Finding]:
    """Files and hosts that the streams name, and the folder that is written to."""
    for stream in settings.streams:
        for source in stream.sources:
            name = f"stream {stream.name}"
            if isinstance(source, MediaSettings) and "://" in source.url:
                yield host(name, urlsplit(source.url).hostname or "")
            elif isinstance(source, TextSettings) and (source.is_address or source.follow):
                yield _live_words(name, source)
            elif isinstance(source, MediaSettings | TextSettings):
                path = source.url if isinstance(source, MediaSettings) else source.path
                yield _file(name, path)
    if settings.output.file and settings.output.file != "-":
        folder = Path(settings.output.file).parent
        if folder.is_dir():
            yield Finding(check="output.file", state=State.OK, found=str(folder))
        else:
            found, remedy = f"{folder} is no folder", "create it, or give another path"
            yield Finding(check="output.file", state=State.FAIL, found=found, remedy=remedy)


def _live_words(name: str, source: TextSettings) -> Finding:
    """Whether an address of words is in order, or the folder of a file that is followed there."""
    if source.is_address:
        try:
            address = parse_address(source)
            read_token(source.token_file, address.name)
            read_certificate(source.certificate, address.name)
        except AttuneError as error:
            found, _, remedy = str(error).rpartition("; ")
            return Finding(check=name, state=State.FAIL, found=found, remedy=remedy)
        return Finding(check=name, state=State.OK, found=f"{address.name} is in order; not called")
    if Path(source.path).parent.is_dir():
        return Finding(check=name, state=State.OK, found=f"{source.path} will be followed")
    found, remedy = f"{source.path}: its folder is not there", "check the path"
    return Finding(check=name, state=State.FAIL, found=found, remedy=remedy)


def speech(settings: AttuneSettings) -> Iterator[Finding]:
    """Whether the engines of speech to text can be loaded; they are, as a run would."""
    for stream in settings.streams:
        if stream.speech_to_text is not None:
            name, engine = f"speech of {stream.name}", stream.speech_to_text.engine
            try:
                require_time(stream.name, settings)
                open_engine(stream.speech_to_text)
            except AttuneError as error:
                found, _, remedy = str(error).rpartition("; ")
                yield Finding(check=name, state=State.FAIL, found=found, remedy=remedy)
            else:
                yield Finding(check=name, state=State.OK, found=f"{engine} is ready")


def host(name: str, wanted: str) -> Finding:
    """Whether a name can be resolved; nothing is sent to it."""
    try:
        socket.getaddrinfo(wanted, None)
    except OSError:
        found, remedy = f"{wanted} is not known", "check the address and the network"
        return Finding(check=name, state=State.FAIL, found=found, remedy=remedy)
    return Finding(check=name, state=State.OK, found=f"{wanted} is known; not called")


def _file(name: str, path: str) -> Finding:
    if path == "-" or Path(path).is_file():
        return Finding(check=name, state=State.OK, found=path)
    return Finding(
        check=name, state=State.FAIL, found=f"{path}: no such file", remedy="check the path"
    )


def clock(synchronised: bool | None) -> Finding:
    """Windows do not need the wall clock; comparing hosts does."""
    if synchronised is None:
        return Finding(
            check="clock", state=State.NOTE, found="not known whether it is synchronised"
        )
    if synchronised:
        return Finding(check="clock", state=State.OK, found="synchronised")
    remedy = "start an NTP client (systemd-timesyncd, chrony) to compare times between hosts"
    return Finding(check="clock", state=State.NOTE, found="not synchronised", remedy=remedy)


def _synchronised() -> bool | None:
    command = ["timedatectl", "show", "--property", "NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(answer.stdout.strip())


def _table(findings: list[Finding]) -> Table:
    table = Table("check", "", "found", "what to do")
    colours = {State.OK: "green", State.NOTE: "yellow", State.FAIL: "red"}
    for f in findings:
        table.add_row(f.check, f"[{colours[f.state]}]{f.state}[/]", f.found, f.remedy)
    return table
