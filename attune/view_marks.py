"""The marks of the live view: bars, scales, sparklines and numbers, each a piece of text.

Invariant: every mark is exactly as wide as it was asked to be.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from streaming.results import Sentiment

SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
# One character for one, so that styles stay in place.
MINUS = "\N{MINUS SIGN}"
ASCII = str.maketrans(f"▁▂▃▄▅▆▇█▏▎▍▌▋▊▉●○◐│─━·{MINUS}…", ".,:-=+*#|||####o.c|-=.-.")


def number(value: float, digits: int = 2) -> str:
    """Signed, with a true minus, as wide for minus as for plus."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def clock(t_ns: int) -> str:
    """Stream time as hours, minutes and seconds."""
    minutes, seconds = divmod(t_ns // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def tint(score: float) -> str:
    """Red for bad, green for good, yellow between."""
    if score > 0.15:
        return "green"
    return "red" if score < -0.15 else "yellow"


def wording(score: float) -> str:
    """The score in words."""
    strength = "" if abs(score) >= 0.5 else "slightly "
    if abs(score) < 0.15:
        return "neutral"
    return strength + ("positive" if score > 0 else "negative")


def scale(sentiment: Sentiment, width: int) -> Text:
    """-1 to +1 from left to right: the interval thick, the score a dot, zero a stroke."""
    at, low, high = (_column(x, width) for x in (sentiment.score, sentiment.low, sentiment.high))
    text = Text()
    for i in range(width):
        if i == at:
            text.append("●", style=f"bold {tint(sentiment.score)}")
        elif i == width // 2:
            text.append("│", style="dim")
        elif low <= i <= high:
            text.append("━", style=tint(sentiment.score))
        else:
            text.append("─", style="dim")
    return text


def bar(share: float, width: int, style: str) -> Text:
    """A bar of `share` of `width`, to an eighth of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    return Text(drawn.ljust(width), style=style)


def mood_line(scores: Sequence[float | None], width: int) -> Text:
    """The last `width` scores, the newest at the right; a dot where there was none."""
    text = Text("·" * max(width - len(scores), 0), style="dim")
    for score in list(scores)[-width:] if width else ():
        if score is None:
            text.append("·", style="dim")
        else:
            text.append(SPARKS[_column(score, len(SPARKS))], style=tint(score))
    return text


def _column(value: float, width: int) -> int:
    """Where in `width` columns -1..1 puts `value`."""
    return min(max(int((value + 1.0) / 2.0 * width), 0), width - 1)
