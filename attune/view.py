"""The live view: what is going on in every stream, drawn for a terminal of any size.

Pure: messages are fed in, `render` gives something that rich can print; no clock but the one in the
messages, no socket, no screen. Invariant: what is drawn never grows with time (bounded history),
nor beyond the width and height it is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from attune.view_log import line_of
from attune.view_marks import ASCII
from attune.view_panel import PANEL_LINES, stream_panel
from attune.view_state import StreamState
from attune.view_table import HEADER_LINES, stream_table
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.results import Heartbeat, Message

FOOTER_LINES = 1
LOG_LINES = 60
WIDEST_PANEL = 110
NARROWEST_PANEL = 78


class LiveView:
    """Feed it messages, holes and new epochs; print what `render` gives, as often as you like.

    `source` stands in the last line, with `status` behind it.
    """

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._streams: dict[str, StreamState] = {}
        self._log: deque[Text] = deque(maxlen=LOG_LINES)
        self.status = ""

    def feed(self, item: Message | Hole | LostEnd | NewEpoch) -> None:
        """Take in one thing that came over the wire."""
        if isinstance(item, Hole):
            self._stream(item.stream).missing += item.count
        elif isinstance(item, NewEpoch):
            for state in self._streams.values():
                state.restart()
        elif isinstance(item, LostEnd):
            pass  # how many are missing is not known
        elif isinstance(item, Heartbeat):
            return
        else:
            self._stream(item.stream).take(item)
        line = line_of(item)
        if line is not None:
            self._log.append(line)

    def render(self) -> RenderableType:
        """A snapshot that fits itself to the console it is printed on."""
        states = [state.snapshot() for state in self._streams.values()]
        return _Screen(states, list(self._log), self._footer())

    def _stream(self, name: str) -> StreamState:
        return self._streams.setdefault(name, StreamState(name))

    def _footer(self) -> Text:
        states = self._streams.values()
        results = sum(state.counts["results"] for state in states)
        events = sum(state.counts["events"] for state in states)
        missing = sum(state.missing for state in states)
        parts = [self._source, f"{results} results", f"{events} events"]
        parts += [f"{missing} missing" if missing else "no holes", self.status]
        return Text("  ·  ".join(filter(None, parts)), style="dim", no_wrap=True)


class _Screen:
    """The streams as panels or as a table, the log in what room is left, the footer last."""

    def __init__(self, states: list[StreamState], log: list[Text], footer: Text) -> None:
        self._states, self._log, self._footer = states, log, footer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = options.height or console.height
        lines = self._lines(console, options, width, height)
        for i, line in enumerate(lines):
            if i:
                yield Segment.line()
            yield from _to_ascii(line) if options.ascii_only else line

    def _lines(
        self, console: Console, options: ConsoleOptions, width: int, height: int
    ) -> list[list[Segment]]:
        free = max(height - FOOTER_LINES, 0)
        flat = options.update(height=None)
        top = console.render_lines(self._top(width, free), flat, pad=False)[:free]
        log = self._log[-(free - len(top)) :] if free > len(top) else []
        rest = [
            console.render_lines(_cut(text, width), flat, pad=False)[0]
            for text in (*log, self._footer)
        ]
        return [*top, *rest]

    def _top(self, width: int, height: int) -> RenderableType:
        if not self._states:
            return Text("no stream yet", style="dim")
        across = min(max(width // NARROWEST_PANEL, 1), len(self._states))
        rows = -(-len(self._states) // across)
        if rows * PANEL_LINES <= height:
            return _panels(self._states, across, min(width // across, WIDEST_PANEL))
        return stream_table(self._states[: max(height - HEADER_LINES + 1, 0)], width)


def _panels(states: list[StreamState], across: int, width: int) -> Table:
    grid = Table.grid()
    for row in _rows(states, across):
        grid.add_row(*(stream_panel(state, width) for state in row))
    return grid


def _rows(states: list[StreamState], across: int) -> Iterator[list[StreamState]]:
    for first in range(0, len(states), across):
        yield states[first : first + across]


def _cut(text: Text, width: int) -> Text:
    cut = text.copy()
    cut.no_wrap = True
    cut.truncate(width, overflow="ellipsis")
    return cut


def _to_ascii(line: Iterable[Segment]) -> Iterator[Segment]:
    for segment in line:
        plain = segment.text.translate(ASCII).encode("ascii", "replace").decode()
        yield Segment(plain, segment.style, segment.control)
