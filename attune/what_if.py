"""What other settings would have made of a recorded session: two columns, recorded and replayed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from streaming.results import Event, Health, HealthKind, Phase, Result


class Side:
    """What one of the two runs came to."""

    def __init__(self) -> None:
        self.windows: dict[tuple[str, int, int], float | None] = {}
        self.closed_by: Counter[str] = Counter()
        self.coverage: dict[str, list[float]] = {}
        self.dropped: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def add(self, said: Any) -> None:
        """Count one message, or the outline of a window."""
        match said:
            case Result() | dict():
                self._add_window(msgspec.to_builtins(said))
            case Health(kind=HealthKind.DROP | HealthKind.LATE):
                self.dropped[said.detail] += said.count
            case Event(phase=Phase.START):
                self.events[said.kind] += 1
            case _:
                pass

    def _add_window(self, window: dict[str, Any]) -> None:
        sentiment = window.get("sentiment")
        key = (window["stream"], window["start_ns"], window["end_ns"])
        self.windows[key] = sentiment["score"] if sentiment else None
        self.closed_by[window["closed_by"]] += 1
        for modality, receipt in window["modalities"].items():
            self.coverage.setdefault(modality, []).append(receipt["coverage"])


class WhatIf:
    """Both sides, and the table of them."""

    def __init__(self) -> None:
        self._recorded, self._replayed = Side(), Side()

    def add(self, recorded: list[Any], replayed: list[Any]) -> None:
        """Take what both said."""
        for side, said in ((self._recorded, recorded), (self._replayed, replayed)):
            for message in said:
                side.add(message)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(title="What if", title_justify="left")
        for heading in ("what", "recorded", "replayed"):
            table.add_column(heading, justify="left" if heading == "what" else "right")
        a, b = self._recorded, self._replayed
        table.add_row("windows", str(len(a.windows)), str(len(b.windows)))
        for name in ("closed_by", "dropped", "events"):
            one, two = getattr(a, name), getattr(b, name)
            for key in sorted({*one, *two}):
                table.add_row(f"{name.replace('_', ' ')}: {key}", str(one[key]), str(two[key]))
        for modality in sorted({*a.coverage, *b.coverage}):
            table.add_row(f"coverage: {modality}", *(_mean(s.coverage, modality) for s in (a, b)))
        console.print(table)
        console.print(self._moved(), highlight=False)

    def _moved(self) -> str:
        """How far the scores of the windows that both have lie apart."""
        a, b = self._recorded.windows, self._replayed.windows
        pairs = [(a[key], b[key]) for key in a.keys() & b.keys()]
        gaps = [abs(x - y) for x, y in pairs if x is not None and y is not None]
        told = f", sentiment moved by {np.mean(gaps):.3f} on average" if gaps else ""
        return f"{len(pairs)} windows have the same span in both{told}"


def _mean(coverage: dict[str, list[float]], modality: str) -> str:
    found = coverage.get(modality)
    return f"{np.mean(found):.3f}" if found else "-"
