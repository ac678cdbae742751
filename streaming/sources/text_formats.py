"""Subtitle and JSON-lines text as timed lines.

Invariant: every line has a time in [0, one year] and a duration of at most 30 s; whatever is
not such a line comes back as a `BadLine` with its number and what was wrong with it.
"""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass, replace

import pysubs2

from streaming.clock import NS_PER_MS, NS_PER_S

MAX_CHARS = 10_000
MAX_DURATION_NS = 30 * NS_PER_S
MAX_T_NS = 365 * 86_400 * NS_PER_S
_STAMP = r"(?:\d{1,5}:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
_TIMING = re.compile(rf"^\s*({_STAMP})\s*-->\s*({_STAMP})(?:\s.*)?$")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"<[^>]{1,200}>|\{\\[^}]{0,200}\}")
_NAME = re.compile(r"^([^\W\d_][\w .'-]{0,29}):\s+(?=\S)")
_UNITS = {"t": NS_PER_S, "t_ms": NS_PER_MS, "t_ns": 1}


@dataclass(frozen=True)
class Line:
    """Words at `t_ns`; `number` is the line of the file that timed them."""

    number: int
    t_ns: int
    duration_ns: int
    text: str
    speaker: str = ""
    language: str = ""
    is_final: bool = True


@dataclass(frozen=True)
class BadLine:
    """What is wrong with line `number` (from 1)."""

    number: int
    reason: str


def cut(line: Line) -> tuple[Line, BadLine | None]:
    """`line` with its text cut to `MAX_CHARS`, and whether that was needed."""
    if len(line.text) <= MAX_CHARS:
        return line, None
    reason = f"has {len(line.text)} characters; cut to {MAX_CHARS}"
    return replace(line, text=line.text[:MAX_CHARS]), BadLine(line.number, reason)


def parse_subtitles(text: str, form: str) -> tuple[list[Line], list[BadLine]]:
    """SRT or WebVTT (`form`: "srt", "vtt"). pysubs2 reads each cue that has a sound timing line."""
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines: list[Line] = []
    bad: list[BadLine] = []
    stamps = [i for i, row in enumerate(rows) if "-->" in row]
    if not stamps and text.strip().removeprefix("WEBVTT").strip():
        bad.append(BadLine(1, f"no cue in the whole file; expected {form.upper()} timing lines"))
    for n, at in enumerate(stamps):
        until = stamps[n + 1] if n + 1 < len(stamps) else len(rows)
        body = _body(rows[at + 1 : until], last=n + 1 == len(stamps))
        match _cue(at + 1, rows[at], body, form):
            case BadLine() as fault:
                bad.append(fault)
            case Line() as line:
                lines.append(line)
    return lines, bad


def parse_jsonl(text: str) -> tuple[list[Line], list[BadLine]]:
    """JSON objects, one a line, with `text` and one of `t`, `t_ms`, `t_ns`."""
    lines: list[Line] = []
    bad: list[BadLine] = []
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        match parse_json_line(number, row):
            case BadLine() as fault:
                bad.append(fault)
            case Line() as line:
                lines.append(line)
    return lines, bad


def parse_json_line(number: int, row: str, *, t_ns: int | None = None) -> Line | BadLine:
    """One JSON object as a line, at `t_ns` if given, else at the time it states."""
    try:
        fields = json.loads(row)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or too large"
        return BadLine(number, f"is not JSON ({reason})")
    if not isinstance(fields, dict):
        return BadLine(number, f"is a JSON {type(fields).__name__}; expected an object")
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        return BadLine(number, "has no words; expected a string in 'text'")
    try:
        start_ns = _start_ns(fields) if t_ns is None else t_ns
        duration_ns = _duration_ns(fields, start_ns) if t_ns is None else 0
    except ValueError as error:
        return BadLine(number, str(error))
    return Line(
        number=number,
        t_ns=start_ns,
        duration_ns=duration_ns,
        text=text.strip(),
        speaker=_string(fields, "speaker"),
        language=_string(fields, "language"),
        is_final=fields.get("is_final") is not False,
    )


def _start_ns(fields: dict[str, object]) -> int:
    for key, unit in _UNITS.items():
        if key in fields:
            return _time_ns(key, fields[key], unit)
    raise ValueError("has no time; expected one of 't' (seconds), 't_ms', 't_ns'")


def _duration_ns(fields: dict[str, object], start_ns: int) -> int:
    if "duration" in fields:
        return min(_time_ns("duration", fields["duration"], NS_PER_S), MAX_DURATION_NS)
    if "end" in fields:
        end_ns = _time_ns("end", fields["end"], NS_PER_S)
        if end_ns < start_ns:
            raise ValueError("ends before it starts")
        return min(end_ns - start_ns, MAX_DURATION_NS)
    return 0


def _time_ns(key: str, value: object, unit: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"has {key!r} that is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"has {key!r} that is not finite")
    if not 0 <= value * unit <= MAX_T_NS:
        raise ValueError(f"has {key!r} = {str(value)[:20]}, outside 0 to one year")
    return round(value * unit)


def _string(fields: dict[str, object], key: str) -> str:
    value = fields.get(key)
    return value.strip()[:100] if isinstance(value, str) else ""


def _cue(number: int, timing: str, body: list[str], form: str) -> Line | BadLine | None:
    """One cue; None where it has no words."""
    stamps = _TIMING.match(timing)
    if stamps is None:
        shown = timing.strip()[:80]
        return BadLine(number, f"{shown!r} is no timing; expected 00:00:01.000 --> 00:00:02.000")
    first, last = (s.replace(".", ",") if form == "srt" else s for s in stamps.groups())
    head = "WEBVTT\n\n" if form == "vtt" else "1\n"
    sep = "." if form == "vtt" else ","
    stamp = f"{_full(first, sep)} --> {_full(last, sep)}"
    raw = "\n".join(body)
    try:
        # The words go around pysubs2: it would turn voice tags and braces into its own markup.
        event = pysubs2.SSAFile.from_string(f"{head}{stamp}\nx\n", format_=form)[0]
    except (pysubs2.Pysubs2Error, ValueError, IndexError):
        return BadLine(number, f"{timing.strip()[:80]!r} cannot be read as a timing")
    if event.end < event.start:
        return BadLine(number, "the cue ends before it starts")
    text, speaker = words_of(raw)
    if not text:
        return None
    t_ns = event.start * NS_PER_MS
    duration_ns = min((event.end - event.start) * NS_PER_MS, MAX_DURATION_NS)
    return Line(number, t_ns, duration_ns, text, speaker)


def _full(stamp: str, sep: str) -> str:
    """`stamp` with hours, two digits a field and the format's own decimal mark."""
    clock, fraction = re.split(r"[.,]", stamp)
    fields = [int(f) for f in clock.split(":")]
    hours, minutes, seconds = [0] * (3 - len(fields)) + fields
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{sep}{fraction.ljust(3, '0')}"


def _body(rows: list[str], *, last: bool) -> list[str]:
    """A cue's own rows: up to the blank line, without the next cue's number."""
    for i, row in enumerate(rows):
        if not row.strip():
            return rows[:i]
    return rows if last or not rows or not rows[-1].strip().isdigit() else rows[:-1]


def words_of(raw: str) -> tuple[str, str]:
    """Text without markup, and who speaks: `<v NAME>` or a leading `NAME: `."""
    voice = _VOICE.search(raw)
    text = " ".join(html.unescape(_TAG.sub("", raw)).replace("\\N", " ").split())
    text = text.removeprefix("- ").strip()
    if voice:
        return text, voice.group(1).strip()
    name = _NAME.match(text)
    return (text[name.end() :], name.group(1)) if name else (text, "")
