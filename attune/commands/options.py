"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_ADDRESS = "tcp://127.0.0.1:7100"
Config = Annotated[
    Path | None, typer.Argument(metavar="CONFIG.yaml", help="Settings; see configs/.")
]
Media = Annotated[
    str | None, typer.Option(metavar="PATH_OR_URL", help="Anything that FFmpeg reads.")
]
Words = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help=".srt, .vtt, .jsonl, - for standard input, tail:FILE, or an address; docs/sources.md.",
    ),
]
Fast = Annotated[bool, typer.Option("--fast", help="As fast as possible instead of in real time.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as windows.hop_ms=250."),
]
Consent = Annotated[
    bool,
    typer.Option(
        "--consent",
        help="Those before cameras, microphones and at addresses have agreed; docs/privacy.md.",
    ),
]
KeysFolder = Annotated[
    Path | None, typer.Option("--keys", metavar="DIR", help="Keys made by attune keys client.")
]
