"""The command line. Every error that a user can mend is one line on standard error.

Exit codes: 0 done, 1 failed, 2 wrongly asked, 130 and 143 ended by Ctrl-C and SIGTERM.
Commands import what they need when they run, so that `attune --help` and `watch` start fast.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer

from attune.commands import analyse, keys, machine, models, rules, streams, subscribe
from streaming.errors import AttuneError

app = typer.Typer(
    name="attune",
    help="Real-time analysis of video, sound and text: sentiment, emotion and events over ZeroMQ.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 done, 1 failed, 2 wrongly asked, 130 Ctrl-C, 143 SIGTERM.",
    pretty_exceptions_enable=False,
)
for commands in (analyse, subscribe, models, machine):
    app.add_typer(commands.app)
for name, commands in (("streams", streams), ("rules", rules), ("keys", keys)):
    app.add_typer(commands.app, name=name, no_args_is_help=True)
# Typer carries its own click, and names only some of its errors in public.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _version(show: bool) -> None:
    if show:
        from attune import __version__

        typer.echo(f"attune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; returns only by exiting."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding lacks becomes "?"
        sys.stdout.reconfigure(errors="replace")
    try:
        code = app(args=arguments, prog_name="attune", standalone_mode=False)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(getattr(error, "ctx").get_help())  # noqa: B009 - not on Exception
            sys.exit(2)
        message = getattr(error, "format_message", error.__str__)()
        asked = getattr(getattr(error, "ctx", None), "command_path", "attune")
        _fail(f"{message.rstrip('.')}; {asked} --help shows what can be asked", 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except AttuneError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    typer.echo(f"attune: {' '.join(message.split())}", err=True)
    sys.exit(code)
