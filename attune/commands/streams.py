"""`attune streams`: the streams of a running Attune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attune.commands.options import Consent, KeysFolder, Media, Words

app = typer.Typer(help="Change the streams of a running Attune. See docs/control.md.")
Control = Annotated[
    str,
    typer.Option(
        "--control",
        metavar="ADDRESS",
        envvar="ATTUNE_CONTROL",
        help="Where that Attune takes commands; see attune run --control.",
    ),
]
StreamArgument = Annotated[str, typer.Argument(metavar="NAME", help="The stream.")]


@app.command("list")
def streams_list(control: Control, keys: KeysFolder = None) -> None:
    """Show all streams and what they do."""
    from attune.streams import ask_and_show
    from streaming.control import ListRequest

    ask_and_show(control, keys, [ListRequest()])


@app.command("add")
def streams_add(
    control: Control,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A new stream.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG.yaml", help="Add the streams of this file.")
    ] = None,
    media: Media = None,
    text: Words = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the machine is full already.")
    ] = False,
    consent: Consent = False,
    keys: KeysFolder = None,
) -> None:
    """Have one more stream analysed, or those of a file."""
    from attune.streams import additions, ask_and_show

    asked = additions(
        name=name, config=config, media=media, text=text, force=force, consent=consent
    )
    ask_and_show(control, keys, asked)


@app.command("pause")
def streams_pause(name: StreamArgument, control: Control, keys: KeysFolder = None) -> None:
    """Close a stream's sources; resume opens them again."""
    from attune.streams import ask_and_show
    from streaming.control import PauseRequest

    ask_and_show(control, keys, [PauseRequest(stream=name)])


@app.command("resume")
def streams_resume(name: StreamArgument, control: Control, keys: KeysFolder = None) -> None:
    """Open the sources of a paused stream again."""
    from attune.streams import ask_and_show
    from streaming.control import ResumeRequest

    ask_and_show(control, keys, [ResumeRequest(stream=name)])


@app.command("remove")
def streams_remove(name: StreamArgument, control: Control, keys: KeysFolder = None) -> None:
    """End a stream for good."""
    from attune.streams import ask_and_show
    from streaming.control import RemoveRequest

    ask_and_show(control, keys, [RemoveRequest(stream=name)])
