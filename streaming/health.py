"""Health: lateness, gaps, drops and losses are data, published like results."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from streaming.modality import Modality

SCHEMA = "attune/1"


class HealthKind(StrEnum):
    """What can be wrong with a stream, or right again."""

    GAP = "gap"
    DROP = "drop"
    OVERLOAD = "overload"
    LATE = "late"
    CLOCK_JUMP = "clock_jump"
    XRUN = "xrun"
    CORRUPT = "corrupt"
    FORMAT = "format"
    FROZEN = "frozen"
    BLACK = "black"
    COVERED = "covered"
    SILENT = "silent"
    CLIPPED = "clipped"
    DESYNCHRONISED = "desynchronised"
    SOURCE_LOST = "source_lost"
    RECOVERED = "recovered"
    RESTARTED = "restarted"
    SINK_FAILED = "sink_failed"
    STREAM_ADDED = "stream_added"
    PAUSED = "paused"
    RESUMED = "resumed"
    STREAM_REMOVED = "stream_removed"
    STREAM_ENDED = "stream_ended"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The latency waterfall of one result, in milliseconds; differs from run to run.

    `align_ms`: window's end to closed; `queue_ms`: closed to taken up by the model;
    `model_ms`: the model itself; `total_ms`: window's end to publication (negative or
    meaningless when the input was not paced in real time, then None).
    `published_unix_ns`: wall clock.
    """

    align_ms: float | None = None
    queue_ms: float = 0.0
    model_ms: float = 0.0
    total_ms: float | None = None
    published_unix_ns: int = 0


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A message as one publisher sent it, before a forwarder took it on: under which name, epoch
    and number, and when. `publisher`: what the forwarder calls it."""

    publisher: str
    stream: str
    epoch: int
    seq: int
    published_unix_ns: int


# Which way a message came, the first publisher first; left out where nobody forwarded it.
Way = tuple[Hop, ...] | UnsetType


class Health(msgspec.Struct, frozen=True, kw_only=True, tag="health"):
    """The state of a stream's input. `count` packets or samples were concerned."""

    schema: str = SCHEMA
    stream: str
    epoch: int = 0
    seq: int = 0
    kind: HealthKind
    t_ns: int
    modality: Modality | None = None
    count: int = 0
    detail: str = ""
    timing: Timing = Timing()
    forwarded: Way = UNSET
