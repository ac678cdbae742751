"""Commands for those who listen: watch, ping, forward."""

from __future__ import annotations

from typing import Annotated

import typer

from attune.commands.options import DEFAULT_ADDRESS, KeysFolder

app = typer.Typer()


@app.command()
def watch(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Where a publisher publishes.")
    ] = DEFAULT_ADDRESS,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Only this stream.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One message a line, as published.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after so many messages.")
    ] = None,
    until_ended: Annotated[
        bool, typer.Option("--until-ended", help="Stop when every stream seen has ended.")
    ] = False,
    keys: KeysFolder = None,
) -> None:
    """Show what a running Attune publishes, and any hole in it."""
    from attune.watch import watch as run_watch

    code = run_watch(
        address, stream=stream, as_json=as_json, count=count, until_ended=until_ended, keys=keys
    )
    raise typer.Exit(code or 0)


@app.command()
def ping(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Where a publisher publishes.")
    ] = DEFAULT_ADDRESS,
    within: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for a heartbeat.")
    ] = 5.0,
    keys: KeysFolder = None,
) -> None:
    """Exit 0 if a publisher is alive there, 1 if not. For health checks."""
    from attune.ping import ping as run_ping

    run_ping(address, within_s=within, keys=keys)


@app.command()
def forward(
    upstreams: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG.yaml|[NAME=]UPSTREAM",
            help="Publishers; NAME stands before their streams' names. Or configs/forward.yaml.",
        ),
    ],
    publish: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help=f"Where to publish; default {DEFAULT_ADDRESS}."),
    ] = None,
    keys: KeysFolder = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as away_s=5."),
    ] = None,
) -> None:
    """Publish at one address what several publishers publish. See docs/forwarding.md."""
    from attune.forward import from_arguments, run_forward

    settings = from_arguments(upstreams, publish=publish, keys=keys, assignments=set_ or [])
    raise typer.Exit(run_forward(settings))
