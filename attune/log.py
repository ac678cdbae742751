"""The log of a run: one JSON object a line on standard error, for programs that collect logs.

Every health message, and the start and end of every event, with stream, number and window; and what
Python's logging says, of level warning and above, in any process of the run. Results, which hold
the scores, are not in it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

import msgspec

from actors.records import Said, listening, said_of
from streaming.clock import NS_PER_S
from streaming.results import Event, Health, HealthKind, Message, Phase

NEWS = (
    HealthKind.RECOVERED,
    HealthKind.RESTARTED,
    HealthKind.STREAM_ADDED,
    HealthKind.PAUSED,
    HealthKind.RESUMED,
    HealthKind.STREAM_REMOVED,
    HealthKind.STREAM_ENDED,
)  # all others are warnings


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line. `time` is RFC 3339 in UTC; `stream_s` the stream's own time; `window` the last
    window that begins at or before it. `part`: of the pipeline, whose `logger` said it."""

    time: str
    level: str
    message: str
    stream: str = ""
    kind: str = ""
    epoch: int = 0
    seq: int = 0
    stream_s: float | None = None
    window: int | None = None
    modality: str | None = None
    count: int = 0
    id: str = ""
    score: float | None = None
    part: str = ""
    logger: str = ""


class JsonLog:
    """Takes every message of a run, writes those that belong into a log."""

    def __init__(self, out: IO[str], hop_ns: int) -> None:
        self._out, self._hop_ns = out, hop_ns
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        """Log one message, if it is one to be logged."""
        if isinstance(message, Health):
            level = "info" if message.kind in NEWS else "warning"
            self._write(
                message,
                message.t_ns,
                level=level,
                message=message.detail or str(message.kind),
                kind=str(message.kind),
                modality=message.modality and str(message.modality),
                count=message.count,
            )
        elif isinstance(message, Event) and message.phase is not Phase.UPDATE:
            t_ns = message.start_ns if message.end_ns is None else message.end_ns
            self._write(
                message,
                t_ns,
                level="info",
                message=f"{message.kind} {message.phase}: {message.label}",
                kind=message.kind,
                id=message.id,
                score=message.score,
            )

    def failure(self, text: str) -> None:
        """Log what went wrong with the run itself."""
        self._line(Record(time=_rfc3339(datetime.now(UTC)), level="error", message=text))

    def said(self, part: str, said: Said) -> None:
        """Log what Python's logging says in a part of the run."""
        self._line(
            Record(
                time=_rfc3339(datetime.fromtimestamp(said.unix_s, UTC)),
                level=said.level,
                message=said.message,
                part=part,
                logger=said.logger,
            )
        )

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Log what Python's logging says in this process while the block runs."""
        with listening(_Handler(self)):
            yield

    def _write(self, told: Health | Event, t_ns: int, **fields: object) -> None:
        at = datetime.fromtimestamp(told.timing.published_unix_ns / NS_PER_S, UTC)
        common = {"stream": told.stream, "epoch": told.epoch, "seq": told.seq}
        place = {"stream_s": round(t_ns / NS_PER_S, 3), "window": t_ns // self._hop_ns}
        record = {"time": _rfc3339(at), **common, **place, **fields}
        self._line(msgspec.convert(record, Record))

    def _line(self, record: Record) -> None:
        with self._lock:
            self._out.write(msgspec.json.encode(record).decode() + "\n")
            self._out.flush()


class _Handler(logging.Handler):
    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.said("driver", said_of(record))


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
