"""Reading a recording back: entries in the order in which they were written.

Invariant: a file that ends in the middle (a crash, a full disk) gives every whole entry it has;
anything else that is wrong with it is one clear error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
from mcap.exceptions import EndOfFile, InvalidMagic
from mcap.records import Channel, DataEnd, Message, Metadata
from mcap.stream_reader import StreamReader

from streaming.errors import SourceError
from streaming.sinks.recording import ABOUT

MAX_RECORD_BYTES = 64_000_000


class Entry(msgspec.Struct, frozen=True):
    """One entry: its topic, its bytes and the session time at which it was written."""

    topic: str
    data: bytes
    now_ns: int


class Recording:
    """A recording's `about` and its entries. `whole` is known once the entries were read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.whole = False
        about = next((r for r in self._records() if isinstance(r, Metadata)), None)
        if about is None or about.name != ABOUT:
            reason = "empty" if not path.stat().st_size else "MCAP, but not of Attune's"
            raise SourceError(
                f"{path} is {reason}: expected a recording from attune record, as it was written"
            )
        self.about: dict[str, str] = about.metadata

    def entries(self) -> Iterator[Entry]:
        """All whole entries, in order."""
        topics: dict[int, str] = {}
        for record in self._records():
            match record:
                case Channel():
                    topics[record.id] = record.topic
                case Message() if record.channel_id in topics:
                    yield Entry(topics[record.channel_id], record.data, record.log_time)
                case DataEnd():
                    self.whole = True
                    return
                case _:
                    pass

    def _records(self) -> Iterator[object]:
        try:
            with self._path.open("rb") as file:
                yield from self._parsed(file)
        except FileNotFoundError:
            raise SourceError(
                f"recording {self._path} not found; attune record FILE.mcap makes one"
            ) from None
        except OSError as error:
            raise SourceError(
                f"recording {self._path} cannot be read: {error.strerror}; expected a file from "
                "attune record"
            ) from None

    def _parsed(self, file: BinaryIO) -> Iterator[object]:
        try:
            with suppress(EndOfFile):
                yield from StreamReader(file, record_size_limit=MAX_RECORD_BYTES).records
        except InvalidMagic:
            raise SourceError(
                f"{self._path} is not a recording: expected an MCAP file from attune record"
            ) from None
        except OSError:
            raise
        except Exception as error:  # the parser raises whatever comes of the bytes
            raise SourceError(f"recording {self._path} is damaged: {error}") from None
