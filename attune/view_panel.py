"""One stream as a panel: mood, feelings, modalities, what is going on, and how late it is.

Invariant: a panel is `PANEL_LINES` high, whatever the stream says, so the screen never jumps.
"""

from __future__ import annotations

from itertools import zip_longest

from rich.box import ROUNDED
from rich.panel import Panel
from rich.text import Text

from attune.view_marks import bar, clock, mood_line, number, scale, tint, wording
from attune.view_state import StreamState
from streaming.modality import Modality
from streaming.results import Event, ModalityReceipt, Result
from streaming.states import ViewState

PANEL_LINES = 12
LABEL_WIDTH = 9
EDGE = 4  # border and padding, both sides
_STATE_MARKS = {
    ViewState.COMPLETE: ("●", "green"),
    ViewState.GAPPY: ("◐", "yellow"),
    ViewState.EMPTY: ("○", "cyan"),
    ViewState.ABSENT: ("○", "dim"),
}


def stream_panel(state: StreamState, width: int) -> Panel:
    """The panel of `state`, `width` columns wide."""
    inner = width - EDGE
    lines = _waiting() if state.result is None else _lines(state, state.result, inner)
    for line in lines:
        line.truncate(inner, overflow="ellipsis")
    body = Text("\n").join([*lines, *[Text()] * (PANEL_LINES - 2 - len(lines))])
    body.no_wrap = True
    when = "ended at " if state.ended else ""
    return Panel(
        body,
        title=Text(state.name, style="bold"),
        title_align="left",
        subtitle=Text(f"{when}{clock(state.now_ns)}", style="dim"),
        subtitle_align="right",
        border_style="dim" if state.ended else "cyan",
        box=ROUNDED,
        width=width,
        height=PANEL_LINES,
    )


def _waiting() -> list[Text]:
    return [Text("waiting for the first window", style="dim")]


def _lines(state: StreamState, result: Result, inner: int) -> list[Text]:
    room = inner - LABEL_WIDTH
    return [
        _labelled("mood", _mood(result, room)),
        _labelled("", mood_line(state.mood, room)),
        *_feelings(result, room),
        *(_modality(m, result.modalities.get(m)) for m in Modality),
        _labelled("now", _signals(result)),
        _labelled("open", _open_events(state)),
        _labelled("delay", _delay(state, result)),
    ]


def _labelled(label: str, text: Text) -> Text:
    return Text.assemble((label.ljust(LABEL_WIDTH), "bold dim"), text)


def _mood(result: Result, room: int) -> Text:
    sentiment = result.sentiment
    if sentiment is None:
        return Text("not enough to go by", style="dim")
    words = f" {number(sentiment.score)} {wording(sentiment.score)}"
    arousal = "" if result.arousal is None else f", arousal {number(result.arousal)}"
    tail = words + arousal
    text = scale(sentiment, max(min(room - 39, 61), 15) - 1 | 1)
    return text + Text(tail, style=f"bold {tint(sentiment.score)}")


def _feelings(result: Result, room: int) -> list[Text]:
    """The four likeliest emotions in two columns."""
    ranked = sorted((result.emotions or {}).items(), key=lambda item: -item[1])[:4]
    column = room // 2
    cells = [_feeling(name, share, column) for name, share in ranked]
    rows = zip_longest(cells[:2], cells[2:], fillvalue=Text())
    lines = [left + right for left, right in rows]
    lines += [Text()] * (2 - len(lines))
    return [_labelled(label, line) for label, line in zip(("feels", ""), lines, strict=True)]


def _feeling(name: str, share: float, column: int) -> Text:
    name_width, share_width = 10, 5
    width = min(max(column - name_width - share_width - 2, 4), 30)
    text = Text(name[:name_width].ljust(name_width))
    text.append(f"{share:4.0%} ", style="bold")
    text.append_text(bar(share, width, "magenta"))
    text.append(" " * max(column - len(text), 0))
    return text


def _modality(modality: Modality, receipt: ModalityReceipt | None) -> Text:
    if receipt is None:
        return _labelled(modality, Text("○ not part of this stream", style="dim"))
    mark, style = _STATE_MARKS[receipt.state]
    text = Text.assemble((mark, style), f" {receipt.state:<9}", f"{receipt.coverage:4.0%}   ")
    if receipt.sentiment is not None:
        text.append(f"alone {number(receipt.sentiment)}   ", style=tint(receipt.sentiment))
    if receipt.contribution is not None:
        text.append(f"adds {number(receipt.contribution)}   ", style=tint(receipt.contribution))
    if receipt.offset_ns:
        text.append(f"moved {number(receipt.offset_ns / 1e6, 0)} ms", style="dim")
    return _labelled(modality, text)


def _signals(result: Result) -> Text:
    signals = result.signals
    loudness = signals.loudness_dbfs
    level = "no sound" if loudness is None else f"{number(loudness, 0)} dBFS"
    return Text.assemble(
        _flag("speech", signals.speech_share > 0, f" {signals.speech_share:4.0%}"),
        _flag("face", signals.faces > 0, f" x{signals.faces}"),
        _flag("sound", loudness is not None, f" {level}"),
        _flag("words", signals.words > 0, f" {signals.words}"),
    )


def _flag(name: str, on: bool, detail: str) -> Text:
    style = "bold green" if on else "dim"
    return Text.assemble(
        ("● " if on else "○ ", style), (name + (detail if on else ""), style), "   "
    )


def _open_events(state: StreamState) -> Text:
    if not state.open_events:
        return Text("nothing", style="dim")
    events = sorted(state.open_events.values(), key=lambda event: -event.start_ns)
    return Text("   ").join(_open_event(event, state.now_ns) for event in events)


def _open_event(event: Event, now_ns: int) -> Text:
    kind = event.kind.replace("_", " ")
    label = f" ({event.label})" if event.label in ("positive", "negative") else ""
    lasted_s = max(now_ns - event.start_ns, 0) / 1e9
    return Text.assemble((f"{kind}{label}", "bold yellow"), f" {lasted_s:.1f} s")


def _delay(state: StreamState, result: Result) -> Text:
    timing = result.timing
    total = "not paced" if timing.total_ms is None else f"{timing.total_ms:.0f} ms"
    align = "" if timing.align_ms is None else f"align {timing.align_ms:.0f}, "
    parts = f" ({align}queue {timing.queue_ms:.0f}, model {timing.model_ms:.0f})"
    text = Text.assemble((total, "bold"), (parts, "dim"), "   ")
    lost = f"{state.missing} missing" if state.missing else "no holes"
    text.append(lost, style="bold red" if state.missing else "green")
    for where, health in state.trouble.items():
        text.append(f"   {where} {health.kind.replace('_', ' ')}", style="bold red")
    return text
