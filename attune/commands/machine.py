"""Commands about this machine and the formats: clock, devices, doctor, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attune.commands.options import Assignments, Config

app = typer.Typer()


@app.command()
def clock(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="Where to answer, such as tcp://0.0.0.0:7201 with keys."
        ),
    ] = "tcp://127.0.0.1:7201",
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keys made by attune keys server.")
    ] = None,
) -> None:
    """Tell this host's time to an Attune on another one. See docs/clocks.md."""
    from attune.clock import serve_clock

    serve_clock(address, keys)


@app.command()
def devices() -> None:
    """List the cameras and microphones of this machine."""
    from attune.devices import show_devices

    show_devices()


@app.command()
def doctor(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
    set_: Assignments = None,
) -> None:
    """Check whether a run will work on this machine. Says what to do where it will not."""
    from attune import config as configuration
    from attune.doctor import run_doctor

    tree = configuration.load(config)
    for assignment in set_ or []:
        configuration.assign(tree, assignment)
    settings = configuration.settings(tree, str(config) if config else "settings")
    raise typer.Exit(run_doctor(settings, as_json=as_json))


@app.command()
def schema(
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="AsyncAPI 3.0: also replay and control.")
    ] = False,
) -> None:
    """Print the JSON Schema of the messages. Or the AsyncAPI document of all sockets."""
    import json

    from attune import __version__
    from streaming.asyncapi import document
    from streaming.wire import message_schema

    typer.echo(json.dumps(document(__version__) if asyncapi else message_schema(), indent=2))
