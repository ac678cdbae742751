"""Error of the measured offset over time: on a terminal, and as a PNG by Matplotlib (`train`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rich.text import Text

from streaming.errors import AttuneError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HALF = 60, 4  # columns; rows above and below zero
LABEL = 8


class Point(Protocol):
    """What is drawn of a reading."""

    @property
    def t_s(self) -> float: ...
    @property
    def error_ms(self) -> float: ...
    @property
    def uncertainty_ms(self) -> float: ...


def chart(found: Sequence[Point]) -> Text:
    """A dot for each error, a thin stroke for its uncertainty, zero in the middle."""
    top_ms = max(max(abs(p.error_ms), p.uncertainty_ms) for p in found) or 1.0
    first_s, last_s = found[0].t_s, found[-1].t_s
    cells = [[" "] * WIDTH for _ in range(2 * HALF + 1)]
    cells[HALF] = ["─"] * WIDTH
    for p in found:
        column = round((p.t_s - first_s) / max(last_s - first_s, 1e-9) * (WIDTH - 1))
        low, high = (_row(p.error_ms + side * p.uncertainty_ms, top_ms) for side in (-1, 1))
        for row in range(high, low + 1):
            cells[row][column] = "│"
        cells[_row(p.error_ms, top_ms)][column] = "●"
    labels = {0: f"{top_ms:+.1f}", HALF: "0 ms", 2 * HALF: f"{-top_ms:+.1f}"}
    text = Text("error over time\n", style="bold")
    for row, line in enumerate(cells):
        text.append(f"{labels.get(row, ''):>{LABEL}} ", style="dim")
        text.append("".join(line) + "\n", style="")
    text.append(f"{'':{LABEL}} {first_s:.1f} s{last_s:>{WIDTH - 7}.1f} s", style="dim")
    return text


def _row(value_ms: float, top_ms: float) -> int:
    return min(max(HALF - round(value_ms / top_ms * HALF), 0), 2 * HALF)


def require_picture(path: Path) -> None:
    """Refuse, before anything is played, what could not be written afterwards."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--picture {path}: expected a name that ends in .png")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--picture {path}: the folder {path.absolute().parent} does not exist")
    _figure()


def save_picture(path: Path, found: Sequence[Point]) -> None:
    """The same as a picture."""
    figure = _figure()
    axes = figure.subplots()
    t_s, errors = [p.t_s for p in found], np.array([p.error_ms for p in found])
    bounds = np.array([p.uncertainty_ms for p in found])
    axes.fill_between(t_s, errors - bounds, errors + bounds, alpha=0.25, label="uncertainty")
    axes.plot(t_s, errors, "o-", markersize=3, label="measured less true offset")
    axes.axhline(0, color="#5b6570", linewidth=0.8)
    axes.set(xlabel="s", ylabel="ms", title="Sound beside picture")
    axes.legend()
    figure.savefig(path, format="png", metadata={"Software": None})


def _figure() -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise AttuneError(
            f"a picture needs Matplotlib, got {error}; install it: pip install 'attune[train]', "
            "or leave out --picture"
        ) from None
    figure = Figure(figsize=(8, 3.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
