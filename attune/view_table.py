"""Many streams as one table, a line each, for when panels would not fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from attune.view_marks import clock, mood_line, number, tint
from attune.view_state import StreamState

HEADER_LINES = 2


def stream_table(states: Sequence[StreamState], width: int) -> Table:
    """One line for each of `states`."""
    history = min(max(width - 70, 8), 60)
    table = Table(width=width, box=None, header_style="bold dim", pad_edge=False)
    table.add_column("stream", no_wrap=True, ratio=1)
    for name, columns in (("time", 8), ("mood", 5), ("", history), ("feels", 14)):
        table.add_column(name, width=columns, no_wrap=True)
    for name, columns in (("now", 11), ("delay", 7), ("lost", 4)):
        table.add_column(name, width=columns, no_wrap=True)
    for state in states:
        table.add_row(*_cells(state, history))
    return table


def _cells(state: StreamState, history: int) -> tuple[Text, ...]:
    result = state.result
    style = "dim" if state.ended else "bold"
    if result is None:
        return (Text(state.name, style=style), *[Text("…", style="dim")] * 7)
    score = None if result.sentiment is None else result.sentiment.score
    best = max((result.emotions or {"": 0.0}).items(), key=lambda item: item[1])
    total_ms = result.timing.total_ms
    return (
        Text(state.name, style=style),
        Text(clock(state.now_ns)),
        Text("…") if score is None else Text(number(score), style=f"bold {tint(score)}"),
        mood_line(state.mood, history),
        Text(f"{best[0]} {best[1]:.0%}" if best[0] else "…"),
        _flags(state),
        Text("" if total_ms is None else f"{total_ms:.0f} ms"),
        Text(str(state.missing), style="bold red" if state.missing else "dim"),
    )


def _flags(state: StreamState) -> Text:
    open_kinds = {event.kind for event in state.open_events.values()}
    return Text(" ").join(
        Text(name, style="bold green" if name in open_kinds else "dim")
        for name in ("speech", "face")
    )
