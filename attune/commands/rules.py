"""`attune rules`: rules for events of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check the rules of events. See docs/events.md.")


@app.command("check")
def rules_check(
    file: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Has events.rules.")],
) -> None:
    """Say what each rule does, or what is wrong with it, line by line."""
    from attune.rules import check_rules

    raise typer.Exit(check_rules(file))


@app.command("show")
def rules_show() -> None:
    """Print the rules of the built-in events. To be looked at, or copied and changed."""
    from attune.rules import show_builtin

    show_builtin()


@app.command("names")
def rules_names() -> None:
    """List what the conditions of rules may name."""
    from attune.rules import show_names

    show_names()
