"""`attune keys`: keys for publishing beyond this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make CURVE keys, for publishing beyond this machine.")


@app.command("server")
def keys_server(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go.")],
) -> None:
    """Make a publisher's keys; give the folder as output.keys."""
    from streaming.keys import make_server_keys

    make_server_keys(folder)
    typer.echo(f"keys in {folder}; publish with --set output.keys={folder}")


@app.command("client")
def keys_client(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go.")],
    server: Annotated[Path, typer.Option(metavar="DIR", help="The publisher's folder.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Whom the keys are for.", show_default=True)
    ] = "client",
) -> None:
    """Make a subscriber's keys, and let it in at that publisher."""
    from streaming.keys import make_client_keys

    make_client_keys(server, folder, name)
    typer.echo(f"keys in {folder}, let in as {name}; subscribe with attune watch --keys {folder}")
