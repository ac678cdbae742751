"""Words from subtitles, from JSON lines, or as they come: typed, piped, appended to a file.

Invariant: a bad line costs itself and a `Health` that names file, line and fault, never its
neighbours; memory stays bounded however long a line or a file is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streaming.clock import Clock, SystemClock
from streaming.errors import SourceError
from streaming.packets import Modality, Packet, Progress, TextMessage
from streaming.results import Health, HealthKind
from streaming.source_settings import TextSettings
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
from streaming.sources.text_input import GrowingFile, StandardInput, TextInput

MAX_FILE_BYTES = 64 << 20
MAX_LINE_BYTES = 4 * MAX_CHARS  # of a line from standard input; UTF-8 takes at most 4 a character
MAX_FAULTS = 100  # said one by one; the rest is summed up
SUBTITLES = {".srt": "srt", ".vtt": "vtt"}
JSON_LINES = (".jsonl", ".ndjson")


class TextSource:
    """Words of one file; or as they come in, with path `-` or `follow`."""

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
        _require_no_address_settings(settings)
        self._settings = settings
        self._stream = stream
        self._clock = clock or SystemClock()
        self._closed = False
        self._seq = 0
        self.live = settings.path == "-" or settings.follow
        self._input = _open_input(settings, fd) if self.live else None
        self._lines: list[Line] = []
        self._faults: list[BadLine] = []
        if not self.live:
            self._lines, self._faults = read_file(settings.path)

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        return self._stored() if self._input is None else self._arriving(self._input)

    def close(self) -> None:
        """End the iteration, a blocked one as well."""
        self._closed = True
        if self._input is not None:
            self._input.close()

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

    def _arriving(self, source: TextInput) -> Iterator[Item]:
        try:
            for number, (raw, lost) in enumerate(self._raw_lines(source), 1):
                yield from self._news(source)
                yield from self._arrived(number, raw, lost)
            if not self._closed:
                yield self._ended(self._clock.now_ns())
        finally:
            source.release()
            self._closed = True

    def _news(self, source: TextInput) -> Iterator[Health]:
        """That a followed file has gone, or is there again."""
        news = source.news()
        if news is not None:
            there, detail = news
            kind = HealthKind.RECOVERED if there else HealthKind.SOURCE_LOST
            yield self._health(detail, self._clock.now_ns(), 1, kind)

    def _arrived(self, number: int, raw: bytes, lost: int) -> Iterator[Item]:
        """The items of one line that has come in, stamped now."""
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

    def _raw_lines(self, source: TextInput) -> Iterator[tuple[bytes, int]]:
        """Lines that come in, each at most `MAX_LINE_BYTES`, and the bytes left out of it."""
        held, lost = bytearray(), 0
        while (data := source.read()) is not None:
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
        name = self._settings.path if self._input is None else self._input.name
        return self._health(f"{name}, line {fault.number}: {fault.reason}", t_ns, 1)

    def _health(
        self, detail: str, t_ns: int, count: int, kind: HealthKind = HealthKind.CORRUPT
    ) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=Modality.TEXT,
            t_ns=t_ns,
            count=count,
            detail=detail,
        )

    def _ended(self, t_ns: int) -> Progress:
        return Progress(stream=self._stream, modality=Modality.TEXT, t_ns=t_ns, ended=True)


def _require_no_address_settings(settings: TextSettings) -> None:
    if settings.keys or settings.late_ms or settings.clock or settings.clock_keys:
        raise SourceError(
            f"{settings.path}: keys, late_ms and clock are for addresses, such as zmq+sub://...; "
            "expected none of them for a file or standard input. Leave them out."
        )


def _open_input(settings: TextSettings, fd: int | None) -> TextInput:
    if settings.path == "-":
        return StandardInput(fd)
    suffix = Path(settings.path).suffix.lower()
    if suffix in SUBTITLES:
        raise SourceError(
            f"{settings.path}: a file that grows is read line by line as plain text or JSON "
            f"lines; got {suffix}. Leave out follow, or have plain lines written."
        )
    if Path(settings.path).is_dir():
        raise SourceError(f"{settings.path}: is a directory; expected a text file.")
    return GrowingFile(settings.path)


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
