"""Where a forwarder stood before it was started anew: by its journal, and a file beside it.

The file is written every second; the journal has each message from before it was sent. Together
they know the last number of every stream, also of those that said nothing for as long as the
journal keeps. Without a journal nothing is known, and forwarding begins with the present.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from attune.forwarding import Place
from streaming.errors import SinkError
from streaming.health import HealthKind, Hop
from streaming.journal import Journal
from streaming.undecodable import UNDECODABLE

Places = dict[str, Place]
_PLACES: msgspec.json.Decoder[Places] = msgspec.json.Decoder(Places)


class _Forwarded(msgspec.Struct):
    kind: str = ""
    forwarded: tuple[Hop, ...] = ()


_FORWARDED: msgspec.json.Decoder[_Forwarded] = msgspec.json.Decoder(_Forwarded)


def read_places(journal: str, *, span_ns: int, max_bytes: int) -> Places:
    """Where every upstream stood when this journal was last written."""
    found = _from_file(_beside(journal))
    kept = Journal(journal, span_ns=span_ns, max_bytes=max_bytes)
    for payload in kept.payloads():
        try:
            message = _FORWARDED.decode(payload)
        except UNDECODABLE:
            continue
        if message.forwarded:
            _advance(found, message.forwarded[-1], message.kind == HealthKind.STREAM_ENDED)
    kept.close()
    return found


def write_places(journal: str, places: Places) -> None:
    """Keep `places` beside the journal, for its owner only; whole, or as it was before."""
    path = _beside(journal)
    new = path.with_name(f"{path.name}.new")
    try:
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(msgspec.json.encode(places))
        new.replace(path)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None


def _beside(journal: str) -> Path:
    return Path(f"{journal}.places")


def _from_file(path: Path) -> Places:
    try:
        return _PLACES.decode(path.read_bytes())
    except (OSError, *UNDECODABLE):
        return {}


def _advance(places: Places, hop: Hop, ended: bool) -> None:
    """An epoch is the time at which it began, so the greater one is the later."""
    place = places.setdefault(hop.publisher, Place())
    if hop.epoch > place.epoch:
        place = places[hop.publisher] = Place(epoch=hop.epoch)
    if hop.epoch == place.epoch and hop.seq >= place.last_seq.get(hop.stream, 0):
        place.last_seq[hop.stream] = hop.seq
        (place.ended.add if ended else place.ended.discard)(hop.stream)
