"""`attune replay`: a recording through the pipeline again, compared with what it said.

Invariant: exit code 0 with --assert-identical means that every message was the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import track

from actors.replaying import Comparison, Difference, Replay
from attune import config as configuration
from attune.what_if import WhatIf
from streaming.errors import AttuneError, UsageError
from streaming.settings import AttuneSettings
from streaming.sinks import JsonlSink
from streaming.sources.recording import Recording
from streaming.undecodable import UNDECODABLE


def run_replay(
    path: Path, *, assert_identical: bool, assignments: list[str], output: str | None
) -> int:
    """Replay `path`; the exit code."""
    console = Console(stderr=True)
    recording = Recording(path)
    recorded = recorded_tree(recording)
    settings = _settings(recorded, assignments)
    if assert_identical and assignments:
        raise UsageError("--assert-identical is for the recorded settings; leave out --set")
    replay = _replay(recording, settings, console, output, same=not assignments)
    if assignments:
        what_if = WhatIf()
        for said, says in _shown(replay, console):
            what_if.add(said, says)
        what_if.show(console)
        return 0
    found, compared = _compare(replay, recording, console)
    return _tell(console, recording, found, compared, strict=assert_identical)


def recorded_tree(recording: Recording) -> dict[str, Any]:
    """The settings with which it was recorded, unchecked."""
    try:
        tree = msgspec.json.decode(recording.about["settings"].encode(), type=dict[str, Any])
    except (KeyError, *UNDECODABLE) as error:
        raise UsageError(f"the recording does not say its settings: {error}") from None
    return tree


def _settings(tree: dict[str, Any], assignments: list[str]) -> AttuneSettings:
    for assignment in assignments:
        if assignment.strip().startswith("streams"):
            raise UsageError(f"--set {assignment!r}: a recording's streams are what they were")
        configuration.assign(tree, assignment)
    return configuration.settings(tree, "the recording")


def _replay(
    recording: Recording,
    settings: AttuneSettings,
    console: Console,
    output: str | None,
    *,
    same: bool,
) -> Replay:
    from actors.warmup import load_analyser, warm_aligner

    analyser = None
    if recording.about.get("keep_media") == "yes":
        analyser = load_analyser(settings.model)
        if same and analyser.revision != recording.about.get("model"):
            console.print(
                f"recorded with the model {recording.about.get('model')}, replayed with "
                f"{analyser.revision}: scores will differ",
                highlight=False,
            )
    elif output:
        raise UsageError("--output: a recording without media has no messages; see --keep-media")
    warm_aligner()
    sinks = (JsonlSink(output),) if output else ()
    return Replay(recording, settings, analyser, same_windows=same, sinks=sinks)


def _shown(replay: Replay, console: Console) -> Any:
    return track(
        replay.run(),
        description="replaying",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _compare(
    replay: Replay, recording: Recording, console: Console
) -> tuple[Difference | None, int]:
    """The whole replay, also after a difference: its output is wanted all the same."""
    comparison = Comparison()
    found: Difference | None = None
    for said, says in _shown(replay, console):
        if found is None:
            found = comparison.add(said, says)
    return found or comparison.rest(whole=recording.whole), comparison.compared


def _tell(
    console: Console, recording: Recording, found: Difference | None, compared: int, *, strict: bool
) -> int:
    what = "messages" if recording.about.get("keep_media") == "yes" else "windows (no media kept)"
    if not recording.whole:
        console.print("the recording ends in the middle: what it has was replayed")
    if found is None:
        console.print(f"identical: {compared} {what}", highlight=False)
        return 0
    line = (
        f"the replay differs at number {found.number} of stream {found.stream}, "
        f"{found.field or 'the whole message'}: recorded {_short(found.recorded)}, replayed "
        f"{_short(found.replayed)}; {compared} {what} were identical before it"
    )
    if strict:
        raise AttuneError(line)
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}..."
