"""The curve of a run: metrics per epoch as a CSV and as a picture."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

Row = dict[str, float]

_COLUMNS = 4


def write_csv(path: Path, rows: list[Row]) -> None:
    """One line per epoch; a metric that an epoch lacks is left empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)


def draw(path: Path, rows: list[Row], best_epoch: int | None) -> bool:
    """One small plot per metric over the epochs; false where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return False
    names = [n for n in dict.fromkeys(name for row in rows for name in row) if n != "epoch"]
    across = min(_COLUMNS, len(names))
    down = math.ceil(len(names) / across)
    figure = Figure(figsize=(3.2 * across, 2.3 * down), layout="constrained")
    FigureCanvasAgg(figure)
    for i, name in enumerate(names):
        axes = figure.add_subplot(down, across, i + 1, title=name)
        at = np.array([row["epoch"] for row in rows if name in row])
        axes.plot(at, [row[name] for row in rows if name in row], marker=".", linewidth=1)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="grey", linewidth=1, linestyle=":")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel("epochs done" + (" (dotted: kept)" if best_epoch is not None else ""))
    figure.savefig(path, dpi=90)
    return True
