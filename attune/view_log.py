"""The live view's log: one line for each thing that happened."""

from __future__ import annotations

from rich.text import Text

from attune.view_marks import clock, number
from streaming.health import Health
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.results import Event, Message, Phase


def line_of(item: Message | Hole | LostEnd | NewEpoch) -> Text | None:
    """The line about `item`, or None when it is not worth one."""
    if isinstance(item, Event):
        return _event_line(item)
    if isinstance(item, Health):
        return _health_line(item)
    if isinstance(item, Hole):
        return Text(f"{item.stream}: {item.count} messages missing", style="red")
    if isinstance(item, LostEnd) and item.stream:
        return Text(f"{item.stream}: messages may be missing at its end", style="red")
    if isinstance(item, NewEpoch):
        return Text("the publisher was started anew", style="yellow")
    return None


def _event_line(event: Event) -> Text | None:
    if event.phase is Phase.UPDATE:
        return None
    what = event.kind.replace("_", " ")
    if event.label not in (event.kind, "spike"):
        what += f" ({event.label})"
    if event.phase is Phase.START or event.end_ns is None:
        told = f"begins, score {number(event.score)}"
        return _line(event.stream, event.start_ns, f"{what} {told}", "")
    lasted_s = (event.end_ns - event.start_ns) / 1e9
    return _line(event.stream, event.end_ns, f"{what} ends after {lasted_s:.2f} s", "dim")


def _health_line(health: Health) -> Text:
    where = f"{health.modality} " if health.modality else ""
    detail = f": {health.detail}" if health.detail else ""
    text = f"{where}{health.kind.replace('_', ' ')}{detail}"
    return _line(health.stream, health.t_ns, text, "yellow")


def _line(stream: str, t_ns: int, text: str, style: str) -> Text:
    return Text.assemble((f" {clock(t_ns)}  ", "dim"), (f"{stream:<8} ", "dim"), (text, style))
