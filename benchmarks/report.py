"""What every benchmark says of itself: the machine, the command, a table, a JSON file."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load": round(psutil.getloadavg()[0], 2),
    }


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table of `rows`, whose keys are the headings."""
    table = Table(title=title, title_justify="left")
    for heading in rows[0]:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console(width=160).print(table)


def write(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures as JSON, with the machine and the command."""
    OUT.mkdir(exist_ok=True)
    body = {"command": " ".join(sys.argv), "machine": machine(), **figures}
    (OUT / f"{name}.json").write_text(json.dumps(body, indent=2) + "\n")


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
