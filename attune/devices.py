"""`attune devices`: what this machine can see and hear with."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from streaming.sources.device_list import list_devices


def show_devices() -> None:
    """Print a table; say plainly when there is nothing."""
    console = Console()
    found = list_devices()
    if not found:
        console.print("No camera and no microphone found.")
        return
    table = Table("kind", "index", "name", "detail")
    for kind, index, name, detail in found:
        table.add_row(kind, str(index), name, detail)
    console.print(table)
