"""`attune run`: settings from the options, a pipeline, a live view, a summary at the end."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from actors.records import Said
from actors.report import Report
from attune import config as configuration
from attune.display import Display
from attune.log import JsonLog
from attune.record import Recorder
from attune.summary import show_summary
from streaming.audit import AuditLog, What
from streaming.clock import NS_PER_MS
from streaming.consent import require_consent, taken_in
from streaming.errors import SinkError, UsageError
from streaming.events.engine import rules_of
from streaming.results import Message
from streaming.settings import AttuneSettings

OnMessage = Callable[[Message], None]


def from_options(
    *,
    config: Path | None,
    media: str | None,
    text: str | None,
    stream: str | None,
    publish: str | None,
    output: str | None,
    fast: bool,
    inline: bool,
    control: str | None = None,
    address: str | None = None,
    consent: bool = False,
    assignments: list[str],
) -> tuple[AttuneSettings, bool]:
    """The settings, and whether the address to publish on was asked for by name."""
    tree = configuration.load(config)
    sources: list[dict[str, Any]] = []
    if media is not None:
        sources.append({"kind": "media", "url": media})
    if text is not None:
        sources.append({"kind": "text", "path": text})
    if sources:
        tree["streams"] = [{"name": stream or "main", "sources": sources}]
    elif stream is not None:
        tree["streams"] = _only(tree.get("streams") or [], stream)
    if consent:
        configuration.agree(tree)
    for section, key, value in (
        ("output", "publish", publish),
        ("output", "file", output),
        ("control", "address", control),
        ("pipeline", "address", address),
        ("pipeline", "pace", "fast" if fast else None),
        ("pipeline", "runtime", "inline" if inline else None),
    ):
        if value is not None:
            _section(tree, section)[key] = value
    for assignment in assignments:
        configuration.assign(tree, assignment)
    settings = configuration.settings(tree, str(config) if config else "settings")
    _require_work(settings)
    asked = "publish" in (tree.get("output") or {})
    return settings, asked


def run_pipeline(
    settings: AttuneSettings,
    *,
    asked_address: bool = True,
    on_message: OnMessage | None = None,
    recorder: Recorder | None = None,
    as_log: bool = False,
) -> int:
    """Run `settings` to the end; the exit code. Messages also go to `on_message`.

    `recorder` writes the session down; that works in one process only (runtime inline). `as_log`:
    JSON lines on standard error in the place of all that is said to people there.
    """
    console = Console(stderr=True, quiet=as_log)
    log = JsonLog(sys.stderr, round(settings.windows.hop_ms * NS_PER_MS)) if as_log else None
    on_message = log or on_message
    settings = _with_cluster(settings, console)
    settings = _with_free_address(settings, asked_address, console)
    _note_consent(settings)
    signals = Signals()
    signals.take()
    display = Display(console, settings, on_message)
    with log.heard() if log is not None else nullcontext():
        if settings.pipeline.runtime == "inline":
            report = _run_inline(settings, display, signals, recorder)
        else:
            report = _run_on_ray(settings, display, signals, log.said if log is not None else None)
    show_summary(console, report, settings)
    for failure in report.failures:
        if log is not None:
            log.failure(failure)
        console.print(f"attune: {failure}", markup=False, highlight=False, soft_wrap=True)
    return 1 if report.failures else signals.exit_code


def _note_consent(settings: AttuneSettings) -> None:
    """Write down for which streams consent was stated."""
    if not settings.output.audit:
        return
    audit = AuditLog(settings.output.audit)
    for stream in settings.streams:
        if stream.consent:
            audit.note(What.CONSENT, stream=stream.name, detail=taken_in(stream))
    audit.close()


def _run_inline(
    settings: AttuneSettings, display: Display, signals: Signals, recorder: Recorder | None
) -> Report:
    from actors.inline import InlinePipeline
    from actors.sinks import open_sinks
    from actors.warmup import load_analyser, warm_aligner

    with display.status("loading the models"):
        analyser = load_analyser(settings.model)
        warm_aligner()
    align = None if recorder is None else recorder.begin(settings, analyser.revision)
    sinks = [*open_sinks(settings), display, *(recorder.sinks if recorder else ())]
    pipeline = InlinePipeline(settings, analyser, sinks, align=align)
    with display.shown():
        return pipeline.run(signals.stop)


def _run_on_ray(
    settings: AttuneSettings,
    display: Display,
    signals: Signals,
    on_record: Callable[[str, Said], None] | None,
) -> Report:
    with ExitStack() as stack:
        with display.status("starting Ray and loading the models"):
            from actors.ray_pipeline import RayPipeline

            pipeline = stack.enter_context(RayPipeline(settings, on_record))
            signals.take()  # Ray has put a handler of its own in place of ours
            pipeline.start()
        with display.following(pipeline.view_address), display.shown():
            return pipeline.run(signals.stop)


class Signals:
    """Ctrl-C and SIGTERM set `stop`: the first ends the run in good order, the second at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._received = 0

    def take(self) -> None:
        """Be the handler from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    @property
    def exit_code(self) -> int:
        """0, or what the shell expects of a program ended by this signal."""
        return 128 + self._received if self._received else 0

    def _handle(self, number: int, frame: object) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt
        self._received = number
        self.stop.set()


def _require_work(settings: AttuneSettings) -> None:
    names = [s.name for s in settings.streams]
    if not names and not settings.control.address:
        raise UsageError(
            "nothing to analyse: give --media PATH_OR_URL, --text PATH or a CONFIG.yaml that has "
            "streams"
        )
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise UsageError(f"two streams are called {twice.pop()!r}; every stream needs its own name")
    if settings.output.file == "-" and settings.pipeline.runtime != "inline":
        raise UsageError("--output - (standard output) works with --inline only; or give a file")
    for stream in settings.streams:
        require_consent(stream)
    rules_of(settings.events)
    how = settings.pipeline
    if settings.control.address and (how.runtime, how.pace) != ("ray", "realtime"):
        raise UsageError(
            "a control address works with Ray in real time only: leave out --inline and --fast"
        )
    if how.address and how.runtime != "ray":
        raise UsageError("a cluster's address works with Ray only: leave out --inline")
    tied = [stream for stream in settings.streams if stream.node]
    if tied and not how.address:
        raise UsageError(
            f"stream {tied[0].name!r}: node {tied[0].node!r} is a node of a cluster: give "
            "--address HOST:PORT of its head (or auto), or leave node out"
        )
    if settings.sync.correct and not settings.vision.light_hz and not settings.vision.mouth_hz:
        raise UsageError(
            "sync.correct moves the sound by what flashes or speakers show; also set "
            "vision.light_hz or vision.mouth_hz, such as 30, so that they are looked for"
        )
    spans = settings.windows
    if (spans.length_ms / spans.hop_ms) % 1:
        raise UsageError(
            f"windows.length_ms must be a multiple of windows.hop_ms; got {spans.length_ms:g} "
            f"and {spans.hop_ms:g}"
        )


def _only(streams: list[Any], name: str) -> list[Any]:
    found = [s for s in streams if isinstance(s, dict) and s.get("name", "main") == name]
    if not found:
        known = ", ".join(str(s.get("name", "main")) for s in streams if isinstance(s, dict))
        raise UsageError(f"--stream {name!r}: no such stream in the configuration; it has: {known}")
    return found


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    section = tree.setdefault(name, {})
    if not isinstance(section, dict):
        raise UsageError(f"configuration: {name!r} must hold keys and values, not {section!r}")
    return section


def _with_cluster(settings: AttuneSettings, console: Console) -> AttuneSettings:
    """Say which cluster is joined; `auto` may be one that nobody thinks of any more."""
    if not settings.pipeline.address:
        return settings
    from actors.ray_join import find

    address, known_by = find(settings.pipeline.address)
    console.print(f"on the Ray cluster at {address} ({known_by})", markup=False, highlight=False)
    pipeline = msgspec.structs.replace(settings.pipeline, address=address)
    return msgspec.structs.replace(settings, pipeline=pipeline)


def _with_free_address(settings: AttuneSettings, asked: bool, console: Console) -> AttuneSettings:
    """When nobody asked for the default address and it is taken, the next free port."""
    host, _, port = settings.output.publish.removeprefix("tcp://").rpartition(":")
    if asked or not settings.output.publish or _is_free(host, int(port)):
        return settings
    for other in range(int(port) + 1, int(port) + 100):
        if _is_free(host, other):
            address = f"tcp://{host}:{other}"
            console.print(f"{settings.output.publish} is taken; publishing on {address}")
            output = msgspec.structs.replace(settings.output, publish=address)
            return msgspec.structs.replace(settings, output=output)
    raise SinkError(f"no free port near {settings.output.publish}; give --publish ADDRESS")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((host, port))
            return True
    return False
