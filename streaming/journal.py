"""The journal: what was published lately, in an SQLite file that outlives its publisher.

Invariants: a message is in the file before any subscriber has it; the file belongs to one publisher
at a time and is readable by its owner only; it holds at most `max_bytes` of messages, none older
than `span_ns` (looked after every `TIDY_EVERY` messages). When it cannot be written (disk full)
publishing goes on without it, that is told of once, and it is tried again every `RETRY_NS`. Of an
epoch it tells the last numbers, also of messages that it has let go, and never as the whole where
some may have been left out: then the owner's execute bit of the file is set, as that needs no room
on a full disk.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from streaming.clock import NS_PER_S
from streaming.errors import SinkError, WireError, on_one_line
from streaming.open_events import OpenEvents
from streaming.results import Event
from streaming.wire import decode

log = logging.getLogger(__name__)

RETRY_NS = 10 * NS_PER_S
TIDY_EVERY = 64  # messages
MOST_GONE = 10_000  # streams of all epochs of which messages were let go
MOST_EPOCHS = 1000
LAPSED = stat.S_IXUSR
RESULTS = (b"result/", b"result0")  # their topics lie between
Row = tuple[int, bytes, bytes]  # number, topic, payload

_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 4000000;
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, epoch INTEGER, stream TEXT, seq INTEGER, unix_ns INTEGER,
    topic BLOB, payload BLOB
);
CREATE INDEX IF NOT EXISTS place ON message (epoch, stream, seq);
CREATE TABLE IF NOT EXISTS begun (id INTEGER PRIMARY KEY, epoch INTEGER UNIQUE, lapsed INTEGER);
CREATE TABLE IF NOT EXISTS gone (
    id INTEGER PRIMARY KEY, epoch INTEGER, stream TEXT, seq INTEGER, UNIQUE (epoch, stream)
);
"""

# SQLite takes any kind of value in any column.
_STRANGE = """
SELECT
    (SELECT COUNT(*) FROM message WHERE typeof(epoch) || typeof(stream) || typeof(seq)
        || typeof(unix_ns) || typeof(topic) || typeof(payload)
        != 'integertextintegerintegerblobblob')
    + (SELECT COUNT(*) FROM begun WHERE typeof(epoch) || typeof(lapsed) != 'integerinteger')
    + (SELECT COUNT(*) FROM gone WHERE typeof(epoch) || typeof(stream) || typeof(seq)
        != 'integertextinteger')
"""
_LAST = """
SELECT stream, MAX(seq) FROM
    (SELECT epoch, stream, seq FROM message UNION ALL SELECT epoch, stream, seq FROM gone)
    WHERE epoch = ? GROUP BY stream
"""
_LATER = """
SELECT epoch FROM begun WHERE id > (SELECT id FROM begun WHERE epoch = ?1)
    OR (epoch > ?1 AND NOT EXISTS (SELECT 1 FROM begun WHERE epoch = ?1)) ORDER BY id
"""
_LET_GO = """
INSERT OR REPLACE INTO gone (epoch, stream, seq)
    SELECT epoch, stream, MAX(seq) FROM message WHERE id <= ? GROUP BY epoch, stream
"""

# All but results, and of these the last of each stream and epoch: it tells how far that had come.
_OF_EVENTS = """
SELECT topic, payload FROM message WHERE topic NOT BETWEEN ? AND ? OR id IN
    (SELECT MAX(id) FROM message WHERE topic BETWEEN ? AND ? GROUP BY epoch, stream) ORDER BY id
"""


class Journal:
    """Keeps messages in `path`. Not for two threads at once."""

    def __init__(
        self,
        path: str,
        *,
        span_ns: int,
        max_bytes: int,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = Path(path)
        self._span_ns, self._max_bytes = span_ns, max_bytes
        self._unix_ns = unix_ns
        self._bytes = 0
        self._database = self._opened()
        self._added = 0
        self._epoch: int | None = None
        self._lapsed = self._lapsed_before()  # epochs of which the file does not say so yet
        self._retry_ns: int | None = None
        self._news: list[tuple[bool, str]] = []

    def add(self, epoch: int, stream: str, seq: int, frames: tuple[bytes, bytes]) -> None:
        """Keep one message, if that is possible now."""
        now_ns = self._unix_ns()
        if self._retry_ns is not None and now_ns < self._retry_ns:
            return
        row = (epoch, stream, seq, now_ns, *frames)
        try:
            with self._database:
                self._begin(epoch)
                self._database.execute(
                    "INSERT INTO message (epoch, stream, seq, unix_ns, topic, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                )
            self._bytes += len(frames[0]) + len(frames[1])
            self._added += 1
            if self._added % TIDY_EVERY == 0:
                self._tidy(now_ns)
        except sqlite3.Error as error:
            self._degrade(error, epoch, now_ns)
        else:
            self._recover(epoch)

    def between(
        self, epoch: int, stream: str, first: int, last: int, most_bytes: int
    ) -> tuple[list[Row], bool]:
        """The first run of consecutive numbers within `first` to `last`, and whether more may
        follow it. Stops at `most_bytes`."""
        asked = (
            "SELECT seq, topic, payload FROM message"
            " WHERE epoch = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        )
        rows: list[Row] = []
        size = 0
        with suppress(sqlite3.Error), closing(self._database.cursor()) as cursor:
            for row in cursor.execute(asked, (epoch, stream, first, last)):
                if rows and (row[0] != rows[-1][0] + 1 or size >= most_bytes):
                    return rows, True
                rows.append(row)
                size += len(row[1]) + len(row[2])
        return rows, False

    def last_seq(self, epoch: int) -> tuple[dict[str, int], bool]:
        """The last number of each stream of an epoch, and whether nothing can have come after."""
        asked = "SELECT COUNT(*) FROM begun WHERE epoch = ? AND NOT lapsed"
        with suppress(sqlite3.Error), closing(self._database.cursor()) as cursor:
            (whole,) = cursor.execute(asked, (epoch,)).fetchone()
            last_seq = dict(cursor.execute(_LAST, (epoch,)))
            return last_seq, bool(whole) and epoch not in self._lapsed
        return {}, False

    def later(self, epoch: int) -> list[int]:
        """The epochs after this one, in the order in which they began."""
        with suppress(sqlite3.Error), closing(self._database.cursor()) as cursor:
            return [found for (found,) in cursor.execute(_LATER, (epoch,))]
        return []

    def left_open(self) -> tuple[Event, ...]:
        """The ends of all events that have none here, in the order of their beginnings."""
        found = OpenEvents()
        with suppress(sqlite3.Error), closing(self._database.cursor()) as cursor:
            for row in cursor.execute(_OF_EVENTS, RESULTS * 2):
                with suppress(WireError):  # of another version
                    found.take(decode(*row))
        return found.ends()

    def payloads(self) -> Iterator[bytes]:
        """Every message that is kept, oldest first."""
        with suppress(sqlite3.Error), closing(self._database.cursor()) as cursor:
            for (payload,) in cursor.execute("SELECT payload FROM message ORDER BY id"):
                yield payload

    def news(self) -> list[tuple[bool, str]]:
        """Whether it works again or no longer does, and why; told once."""
        told, self._news = self._news, []
        return told

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._database.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            raise _cannot(self._path, str(error)) from None
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            aside = self._path.with_name(f"{self._path.name}.damaged-{self._unix_ns()}")
            why = on_one_line(str(error))
            log.warning("journal %s is damaged (%s); set aside as %s", self._path, why, aside)
            self._path.rename(aside)
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        try:  # readable by its owner only, from its first moment
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _cannot(self._path, error.strerror or str(error)) from None
        database = sqlite3.connect(self._path, timeout=1.0, check_same_thread=False)
        try:
            database.executescript(_SCHEMA)
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            (strange,) = database.execute(_STRANGE).fetchone()
            if strange:
                raise sqlite3.DatabaseError(f"{strange} rows hold values of a wrong kind")
            self._bytes = _size(database)
        except (sqlite3.Error, UnicodeDecodeError):
            database.close()
            raise
        return database

    def _tidy(self, now_ns: int) -> None:
        """Drop what is too old or too much, oldest first, and give the room back."""
        last, gone = 0, 0
        oldest = "SELECT id, unix_ns, LENGTH(topic) + LENGTH(payload) FROM message ORDER BY id"
        with closing(self._database.cursor()) as cursor:
            for row, unix_ns, size in cursor.execute(oldest):
                if unix_ns >= now_ns - self._span_ns and self._bytes - gone <= self._max_bytes:
                    break
                last, gone = row, gone + size
        if gone:
            with self._database:
                self._database.execute(_LET_GO, (last,))
                self._database.execute("DELETE FROM message WHERE id <= ?", (last,))
                self._forget("gone", MOST_GONE)
            self._bytes -= gone
            self._database.execute("PRAGMA incremental_vacuum").fetchall()

    def _begin(self, epoch: int) -> None:
        """Note, before its first message, that an epoch has begun, and which have lapsed."""
        if epoch != self._epoch:
            begun = "INSERT OR IGNORE INTO begun (epoch, lapsed) VALUES (?, 0)"
            self._database.execute(begun, (epoch,))
            self._forget("begun", MOST_EPOCHS)
        for lapsed in self._lapsed:
            self._database.execute("UPDATE begun SET lapsed = 1 WHERE epoch = ?", (lapsed,))

    def _forget(self, table: str, most: int) -> None:
        old = f"DELETE FROM {table} WHERE id <= (SELECT MAX(id) FROM {table}) - {most}"
        self._database.execute(old)

    def _degrade(self, error: sqlite3.Error, epoch: int, now_ns: int) -> None:
        self._lapsed.add(epoch)
        self._mark(lapsed=True)
        if self._retry_ns is None:
            why = f"journal {self._path}: {error}; messages are kept in memory only"
            self._news.append((False, why))
        self._retry_ns = now_ns + RETRY_NS

    def _recover(self, epoch: int) -> None:
        self._epoch = epoch
        if self._lapsed:
            self._lapsed.clear()
            self._mark(lapsed=False)
        if self._retry_ns is not None:
            self._retry_ns = None
            self._news.append((True, f"journal {self._path}: written again"))

    def _mark(self, *, lapsed: bool) -> None:
        with suppress(OSError):
            mode = stat.S_IMODE(self._path.stat().st_mode)
            self._path.chmod(mode | LAPSED if lapsed else mode & ~LAPSED)

    def _lapsed_before(self) -> set[int]:
        """The latest epoch, if the file is marked: its publisher may have left messages out."""
        if not self._path.stat().st_mode & LAPSED:
            return set()
        latest = "SELECT epoch FROM begun ORDER BY id DESC LIMIT 1"
        return {epoch for (epoch,) in self._database.execute(latest)}


def _size(database: sqlite3.Connection) -> int:
    asked = "SELECT COALESCE(SUM(LENGTH(topic) + LENGTH(payload)), 0) FROM message"
    return int(database.execute(asked).fetchone()[0])


def _cannot(path: Path, why: str) -> SinkError:
    hint = "another program uses it" if "locked" in why else why
    return SinkError(f"cannot keep a journal in {path}: {hint}; give another output.journal")
