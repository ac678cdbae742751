"""The bar that every training command shows."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(shown: bool = True) -> Progress:
    """A bar on standard error; tasks need the field `note`."""
    columns = (BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    text = TextColumn("[bold]{task.description}[/] {task.fields[note]}")
    return Progress(text, *columns, console=Console(stderr=True, quiet=not shown))
