"""What programs may send as words, as a typed struct, and when they were said.

Invariants: a message is taken whole or refused with the reason; a time that it states is used only
where it lies at most `late_ns` back, so that the promise of a live source holds. How far the clocks
of two hosts are apart is known, and told as uncertainty, only where the other one is asked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from streaming.clock import NS_PER_S
from streaming.errors import on_one_line
from streaming.sources.far_clock import FarClock
from streaming.sources.text_formats import MAX_CHARS, MAX_DURATION_NS
from streaming.undecodable import UNDECODABLE

MAX_MESSAGE_BYTES = 64 << 10  # 10,000 characters take at most 40,000 bytes, 60,000 as JSON escapes
AHEAD_NS = NS_PER_S  # clocks of two hosts may differ so much; a later time is absurd
ABSURD_NS = 3600 * NS_PER_S
UNSURE_NS = NS_PER_S  # a time that may be off by more is as good as none
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Moment = Annotated[datetime, Meta(tz=True)]
Instant = Annotated[int, Meta(ge=0, le=2**62)]


class LiveText(msgspec.Struct, frozen=True, kw_only=True):
    """Words of one moment, as JSON. When they were said: `start_ns`, `end_ns` on the monotonic
    clock of this host (of the one that `clock` names, if any), or `start`, `end` as RFC 3339 with
    an offset; without a start on arrival.

    `is_final` false: a guess that another message will replace; its words are not counted.
    """

    text: Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]
    start_ns: Instant | None = None
    end_ns: Instant | None = None
    start: Moment | None = None
    end: Moment | None = None
    speaker: Annotated[str, Meta(max_length=100)] = ""
    language: Annotated[str, Meta(max_length=35)] = ""
    is_final: bool = True


class TextReply(msgspec.Struct, frozen=True, kw_only=True):
    """What who posts to a WebSocket that is served is told of each message, in order."""

    taken: bool
    error: str = ""


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """When words were said by their own account, on the session clock, and how far ahead of now
    that may lie."""

    start_ns: int | None
    end_ns: int | None
    uncertainty_ns: int = 0
    ahead_ns: int = AHEAD_NS


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """When words count. `late`, `absurd`: what was stated could not be used, and why."""

    t_ns: int
    duration_ns: int = 0
    uncertainty_ns: int = 0
    late: bool = False
    absurd: bool = False


_DECODER: msgspec.json.Decoder[LiveText] = msgspec.json.Decoder(LiveText)


def read_message(data: bytes) -> LiveText | str:
    """The message in `data`, or why it is none."""
    if len(data) > MAX_MESSAGE_BYTES:
        return f"has {len(data)} bytes; at most {MAX_MESSAGE_BYTES} are taken"
    try:
        found = _DECODER.decode(data)
    except UNDECODABLE as error:
        return f"is not a message of words: {on_one_line(str(error))[:200]}"
    return found if found.text.strip() else "has no words; expected some in 'text'"


def stated(found: LiveText, wall_ahead_ns: int, far: FarClock | None) -> Stated:
    """What `found` states, by the clock of `far` where its times are of another host.

    `wall_ahead_ns`: nanoseconds since 1970 less session time.
    """
    if far is not None and found.start_ns is not None:
        return _mapped(found.start_ns, found.end_ns, far)
    return Stated(
        start_ns=_session_ns(found.start_ns, found.start, wall_ahead_ns),
        end_ns=_session_ns(found.end_ns, found.end, wall_ahead_ns),
    )


def dated(said: Stated, arrival_ns: int, late_ns: int) -> Dated | str:
    """When words count, or why that cannot be. `late_ns`: how far back it may lie."""
    start_ns, end_ns = said.start_ns, said.end_ns
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        return "ends before it starts"
    if start_ns is None or late_ns == 0:
        return Dated(t_ns=arrival_ns)
    absurd = start_ns > arrival_ns + said.ahead_ns or start_ns < arrival_ns - ABSURD_NS
    if absurd or said.uncertainty_ns > UNSURE_NS:
        return Dated(t_ns=arrival_ns, uncertainty_ns=UNSURE_NS, absurd=True)
    t_ns = max(min(start_ns, arrival_ns), arrival_ns - late_ns)
    length_ns = max((end_ns or t_ns) - t_ns, 0)
    return Dated(
        t_ns=t_ns,
        duration_ns=min(length_ns, MAX_DURATION_NS),
        uncertainty_ns=said.uncertainty_ns + max(t_ns - start_ns, 0),
        late=start_ns < t_ns,
    )


def _mapped(start_ns: int, end_ns: int | None, far: FarClock) -> Stated:
    """Times of another host. What was said after it came, by more than the clock may be off, cannot
    be."""
    t_ns, uncertainty_ns = far.at(start_ns)
    return Stated(
        start_ns=t_ns,
        end_ns=None if end_ns is None else far.at(end_ns)[0],
        uncertainty_ns=uncertainty_ns,
        ahead_ns=uncertainty_ns,
    )


def _session_ns(at_ns: int | None, moment: datetime | None, wall_ahead_ns: int) -> int | None:
    if at_ns is not None or moment is None:
        return at_ns
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000 - wall_ahead_ns
