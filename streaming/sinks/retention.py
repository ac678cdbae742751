"""The limit of retention: what is older is deleted, for as long as a run is on.

The file of results is written in parts, `NAME.BEGUN.jsonl`, each a quarter of the limit long, and a
part is deleted when its beginning is too old: no line is ever kept longer. Files in a folder that
is named for it (recordings) are deleted when they were last written too long ago. Invariant:
nothing but such parts, damaged journals and files directly in that folder is ever deleted.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from streaming.clock import NS_PER_S
from streaming.sinks.base import require_open
from streaming.sinks.jsonl import JsonlSink

log = logging.getLogger(__name__)

PARTS = 4
EVERY_NS = 60 * NS_PER_S
MARGIN_NS = 2 * EVERY_NS  # so that nothing outlives the limit between two looks
_STAMP = "%Y%m%dT%H%M%SZ"
_NAMED = re.compile(r"\d{8}T\d{6}Z")


class JsonlParts:
    """JSON lines beside `path`, none of them kept longer than `retain_ns`."""

    live = False

    def __init__(
        self, path: str, retain_ns: int, unix_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._path, self._retain_ns, self._unix_ns = Path(path), retain_ns, unix_ns
        self._closed = False
        self._begin()

    def send(self, topic: bytes, payload: bytes) -> None:
        """Write one line."""
        require_open(self._closed, str(self._path))
        if self._unix_ns() - self._begun_ns >= self._retain_ns // PARTS:
            self._file.close()
            self._begin()
        self._file.send(topic, payload)

    def flush(self) -> None:
        """Nothing waits: each line is written at once."""

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._file.close()

    def expired(self, until_ns: int) -> list[Path]:
        """The parts that were begun before `until_ns`, but for the present one."""
        return [
            part
            for part in self._path.parent.glob(f"{self._path.stem}.*{self._path.suffix}")
            if (begun_ns := _begun_ns(self._path, part)) is not None
            and begun_ns <= until_ns
            and begun_ns < _whole_s(self._begun_ns)
        ]

    def _begin(self) -> None:
        self._begun_ns = self._unix_ns()
        stamp = datetime.fromtimestamp(self._begun_ns // NS_PER_S, UTC).strftime(_STAMP)
        name = f"{self._path.stem}.{stamp}{self._path.suffix}"
        self._file = JsonlSink(str(self._path.with_name(name)), append=True)


class Sweeper:
    """Deletes what is too old, once a minute: a sink, because heartbeats keep it going.

    `folder`: whose files are deleted by age; `journal`: whose damaged copies are.
    """

    live = True

    def __init__(
        self,
        retain_ns: int,
        *,
        parts: JsonlParts | None = None,
        folder: str = "",
        journal: str = "",
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._retain_ns, self._unix_ns = retain_ns, unix_ns
        self._parts, self._folder = parts, Path(folder) if folder else None
        self._journal = Path(journal) if journal else None
        self._due_ns = 0
        self.send(b"", b"")

    def send(self, topic: bytes, payload: bytes) -> None:
        """Look after the files, if it is time."""
        now_ns = self._unix_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + EVERY_NS
            self._sweep(now_ns - max(self._retain_ns - MARGIN_NS, 0))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _sweep(self, until_ns: int) -> None:
        """Delete what is from before `until_ns`."""
        if self._parts is not None:
            _delete(self._parts.expired(until_ns))
        if self._folder is not None:
            _delete(_written_before(self._folder.glob("*"), until_ns))
        if self._journal is not None:
            damaged = self._journal.parent.glob(f"{self._journal.name}.damaged-*")
            _delete(_written_before(damaged, until_ns))


def _written_before(paths: Iterable[Path], until_ns: int) -> list[Path]:
    """Those of `paths` that are files, no links, and were last written before `until_ns`."""
    found = []
    for path in paths:
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime_ns <= until_ns:
                found.append(path)
    return found


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            log.warning("the limit of retention: cannot delete %s: %s", path, error.strerror)


def _begun_ns(path: Path, part: Path) -> int | None:
    stamp = part.name.removeprefix(f"{path.stem}.").removesuffix(path.suffix)
    if not _NAMED.fullmatch(stamp):
        return None
    begun = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    return int(begun.timestamp()) * NS_PER_S


def _whole_s(t_ns: int) -> int:
    return t_ns // NS_PER_S * NS_PER_S
