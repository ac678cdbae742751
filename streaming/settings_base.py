"""What all settings share."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

# Every number has a greatest value: none makes a buffer grow without end, or leaves the clock.
Milliseconds = Annotated[float, Meta(ge=0, le=60_000)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]  # thirty years


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: immutable, by keyword, unknown keys refused."""
