"""Words from subtitles, from JSON lines, or typed and piped into standard input.

Invariant: a bad line costs itself and a `Health` that names file, line and fault, never its
neighbours; memory stays bounded however long a line or a file is.
"""

from __future__ import annotations

import os
import selectors
import sys
from collections.abc import Iterator
from pathlib import Path

from streaming.clock import Clock, SystemClock
from streaming.errors import SourceError
from streaming.packets import Modality, Packet, Progress, TextMessage
from streaming.results import Health, HealthKind
from streaming.settings import TextSettings
from streaming.sources.base import Item
from streaming.sources.text_formats import (
    MAX_CHARS,
    BadLine,
    Line,
    cut,
    parse_json_line,
    parse_jsonl,
    parse_subtitles,
)

MAX_FILE_BYTES = 64 << 20
MAX_LINE_BYTES = 4 * MAX_CHARS  # of a line from standard input; UTF-8 takes at most 4 a character
MAX_FAULTS = 100  # said one by one; the rest is summed up
READ_BYTES = 65536
SUBTITLES = {".srt": "srt", ".vtt": "vtt"}
JSON_LINES = (".jsonl", ".ndjson")


class TextSource:
    """Words of one file, or with path `-` of standard input as they come in."""

    modalities: tuple[Modality, ...] = (Modality.TEXT,)
    ordered = True

    def __init__(
        self,
        settings: TextSettings,
        *,
        stream: str,
        clock: Clock | None = None,
        fd: int | None = None,
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._clock = clock or SystemClock()
        self._closed = False
        self._seq = 0
        self.live = settings.path == "-"
        self._lines: list[Line] = []
        self._faults: list[BadLine] = []
        if self.live:
            self._fd = sys.stdin.fileno() if fd is None else fd
            self._wake_read, self._wake_write = os.pipe()
        else:
            self._lines, self._faults = read_file(settings.path)

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        return self._arriving() if self.live else self._stored()

    def close(self) -> None:
        """End the iteration, a blocked one as well."""
        if self._closed:
            return
        self._closed = True  # before the wake-up: the reader asks for it as soon as it wakes
        if self.live:
            os.write(self._wake_write, b"\0")

    def _stored(self) -> Iterator[Item]:
        for item in self._stored_items():
            if self._closed:
                return
            yield item

    def _stored_items(self) -> Iterator[Item]:
        for fault in self._faults[:MAX_FAULTS]:
            yield self._fault(fault, 0)
        if len(self._faults) > MAX_FAULTS:
            count = len(self._faults) - MAX_FAULTS
            yield self._health(f"{self._settings.path}: {count} more bad lines", 0, count)
        end_ns = 0
        for line in self._lines:
            end_ns = max(end_ns, line.t_ns + line.duration_ns)
            yield self._packet(line)
        yield self._ended(end_ns)

    def _arriving(self) -> Iterator[Item]:
        try:
            for number, (raw, lost) in enumerate(self._raw_lines(), 1):
                yield from self._arrived(number, raw, lost)
            if not self._closed:
                yield self._ended(self._clock.now_ns())
        finally:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._closed = True

    def _arrived(self, number: int, raw: bytes, lost: int) -> Iterator[Item]:
        """The items of one line of standard input, stamped now."""
        now_ns = self._clock.now_ns()
        text = raw.decode(errors="replace").strip()
        if "\ufffd" in text:
            yield self._fault(BadLine(number, "is not UTF-8; bad bytes were replaced"), now_ns)
        line: Line | BadLine | None = Line(number, now_ns, 0, text) if text else None
        if text.startswith("{"):
            line = parse_json_line(number, text, t_ns=now_ns)
        if isinstance(line, BadLine):
            yield self._fault(line, now_ns)
        elif line is not None:
            line, fault = cut(line)
            if lost or fault:
                yield self._fault(
                    fault or BadLine(number, f"was cut to {MAX_CHARS} characters"), now_ns
                )
            yield self._packet(line)

    def _raw_lines(self) -> Iterator[tuple[bytes, int]]:
        """Lines of the descriptor, each at most `MAX_LINE_BYTES`, and the bytes left out of it."""
        held, lost = bytearray(), 0
        while (data := self._read()) is not None:
            *ends, rest = data.split(b"\n") if data else [b"", b""]
            for piece in ends:
                room = MAX_LINE_BYTES - len(held)
                yield bytes(held + piece[:room]), lost + max(len(piece) - room, 0)
                held, lost = bytearray(), 0
            room = MAX_LINE_BYTES - len(held)
            held += rest[:room]
            lost += max(len(rest) - room, 0)
            if not data:
                return

    def _read(self) -> bytes | None:
        """What there is, blocking until there is some; b"" at the end, None when closed."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            try:
                selector.register(self._fd, selectors.EVENT_READ)
                selector.select()
            except PermissionError:  # a regular file: always ready, and epoll refuses it
                pass
        return None if self._closed else os.read(self._fd, READ_BYTES)

    def _packet(self, line: Line) -> Packet:
        message = TextMessage(
            text=line.text,
            language=line.language or self._settings.language,
            speaker=line.speaker or self._settings.speaker,
            is_final=line.is_final,
        )
        self._seq += 1
        return Packet(
            stream=self._stream,
            modality=Modality.TEXT,
            seq=self._seq - 1,
            t_ns=line.t_ns,
            duration_ns=line.duration_ns,
            payload=message,
        )

    def _fault(self, fault: BadLine, t_ns: int) -> Health:
        name = "standard input" if self.live else self._settings.path
        return self._health(f"{name}, line {fault.number}: {fault.reason}", t_ns, 1)

    def _health(self, detail: str, t_ns: int, count: int) -> Health:
        return Health(
            stream=self._stream,
            kind=HealthKind.CORRUPT,
            modality=Modality.TEXT,
            t_ns=t_ns,
            count=count,
            detail=detail,
        )

    def _ended(self, t_ns: int) -> Progress:
        return Progress(stream=self._stream, modality=Modality.TEXT, t_ns=t_ns, ended=True)


def read_file(path: str) -> tuple[list[Line], list[BadLine]]:
    """The lines of a text file in order of time, and what was wrong with it."""
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in SUBTITLES and suffix not in JSON_LINES:
        raise SourceError(
            f"{path}: unknown kind of text; expected .srt, .vtt, .jsonl, .ndjson or - for "
            f"standard input, found {suffix or 'no extension'!r}. Rename or convert the file."
        )
    if not file.is_file():
        what = "is a directory" if file.is_dir() else "no such file"
        raise SourceError(f"{path}: {what}; expected a text file. Check the path.")
    size = file.stat().st_size
    if size > MAX_FILE_BYTES:
        raise SourceError(
            f"{path}: {size >> 20} MB of text; expected at most {MAX_FILE_BYTES >> 20} MB. "
            "Split the file."
        )
    try:
        text, faults = _decoded(file.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}). Check it.") from error
    lines, more = (
        parse_subtitles(text, SUBTITLES[suffix]) if suffix in SUBTITLES else parse_jsonl(text)
    )
    kept = []
    for line in lines:
        line, fault = cut(line)
        kept.append(line)
        more += [fault] if fault else []
    ordered = sorted(kept, key=lambda line: line.t_ns)
    return ordered, sorted(faults + more, key=lambda f: f.number)


def _decoded(data: bytes) -> tuple[str, list[BadLine]]:
    """UTF-8, or UTF-16 with its mark; bad bytes replaced and told of, line by line."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        bad = []
        for number, raw in enumerate(data.split(b"\n"), 1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                bad.append(BadLine(number, "is not UTF-8; bad bytes were replaced"))
        return data.decode("utf-8-sig", errors="replace"), bad
