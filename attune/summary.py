"""The summary at the end of a run: windows, events, latency, CPU share, drops."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from actors.report import Report, StreamTotals
from streaming.settings import AttuneSettings


def show_summary(console: Console, report: Report, settings: AttuneSettings) -> None:
    """Print what `report` came to."""
    table = Table(title="Summary", title_justify="left")
    for heading in ("stream", "windows", "events", "packets", "dropped"):
        table.add_column(heading, justify="left" if heading in ("stream", "events") else "right")
    for name, totals in report.streams.items():
        table.add_row(
            name,
            str(totals.windows),
            ", ".join(f"{n} {kind}" for kind, n in sorted(totals.events.items())) or "none",
            str(totals.pushed),
            _drops(totals),
        )
    console.print(table)
    for line in _figures(report):
        console.print(line, highlight=False, soft_wrap=True)
    if settings.output.file and settings.output.file != "-":
        line = f"messages written to {settings.output.file}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _figures(report: Report) -> list[str]:
    lines = []
    if len(report.latency_ms):
        p50, p95, p99 = np.percentile(report.latency_ms, (50, 95, 99))
        lines.append(
            f"latency beyond the window's end: p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
            f"p99 {p99:.0f} ms; of which the model {np.median(report.model_ms):.0f} ms (median)"
        )
    windows = sum(t.windows for t in report.streams.values())
    lines.append(
        f"{windows} windows in {report.wall_s:.1f} s; CPU {100 * report.cpu_share:.0f} % of one "
        "core (" + ", ".join(f"{k} {v:.1f} s" for k, v in report.cpu_s.items()) + ")"
    )
    lines += [
        f"stream {name}: {shown} windows were shown before they were settled, "
        f"{totals.statuses.get('revised', 0)} of them revised"
        for name, totals in report.streams.items()
        if (shown := totals.statuses.get("provisional"))
    ]
    if report.interrupted:
        lines.append("ended early: everything admitted was delivered")
    return lines


def _drops(totals: StreamTotals) -> str:
    dropped = [f"{n} {reason}" for reason, n in totals.dropped.items() if n]
    overload = [f"{n} {what} under overload" for what, n in totals.given_up.items()]
    return ", ".join(dropped + overload) or "0"
