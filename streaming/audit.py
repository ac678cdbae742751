"""The audit log: who was given what, who commanded what, and whose consent was stated.

JSON lines in a file of its owner's. Invariants: the file is readable by its owner only; a line is
written whole by one call, so that several processes may write; what is said of a person is a key's
name and a network address, never words, pictures or scores; a line that cannot be written stops
nothing else, and the next that can says how many are missing.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from streaming.clock import NS_PER_S
from streaming.errors import SinkError

log = logging.getLogger(__name__)

LONGEST = 300  # characters of what others chose


class What(StrEnum):
    """What happened."""

    CONSENT = "consent"  # a stream with consent: true was begun
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    REPLAYED = "replayed"  # messages of the ring or journal were given again
    LATEST = "latest"  # the present state was given
    COMMAND = "command"  # was asked for on the control socket
    REFUSED = "refused"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `time`: RFC 3339, UTC. `who`: the name of the key, as its file is called in the
    publisher's `clients`; `address`: where the connection comes from, as far as ZeroMQ tells.
    `missing`: lines before this one that could not be written."""

    time: str
    what: What
    who: str = ""
    address: str = ""
    stream: str = ""
    topic: str | None = None
    detail: str = ""
    missing: int = 0


class AuditLog:
    """Appends to `path`."""

    def __init__(self, path: str, unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._unix_ns = unix_ns
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise SinkError(
                f"cannot write the audit log {path}: {error.strerror}; give another path"
            ) from None
        if stat.S_IMODE(os.fstat(self._fd).st_mode) & 0o077:
            os.close(self._fd)
            raise SinkError(f"others can read the audit log {path}: chmod 600 {path}")
        self._path, self._missing = path, 0

    def note(
        self,
        what: What,
        *,
        who: str = "",
        address: str = "",
        stream: str = "",
        topic: str | None = None,
        detail: str = "",
    ) -> None:
        """Write one line."""
        at = datetime.fromtimestamp(self._unix_ns() / NS_PER_S, UTC)
        entry = Entry(
            time=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            what=what,
            who=who,
            address=address,
            stream=stream[:LONGEST],
            topic=None if topic is None else topic[:LONGEST],
            detail=detail[:LONGEST],
            missing=self._missing,
        )
        try:
            os.write(self._fd, msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            if not self._missing:
                log.error("cannot write the audit log %s: %s", self._path, error.strerror)
            self._missing += 1
        else:
            self._missing = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
