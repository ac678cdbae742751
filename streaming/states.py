"""States of windows and views, apart from the arrays, so that reading the wire needs no NumPy."""

from __future__ import annotations

from enum import StrEnum


class ClosedBy(StrEnum):
    """Why a window was closed."""

    WATERMARK = "watermark"  # every modality has passed its end
    DEADLINE = "deadline"  # the clock ran out before a modality came
    END = "end"  # the stream ended inside it


class Status(StrEnum):
    """How settled a window, and so its result, is."""

    PROVISIONAL = "provisional"  # shown at its deadline; a late modality may still come
    FINAL = "final"
    REVISED = "revised"  # final, and not what was shown before


class ViewState(StrEnum):
    """What a modality amounts to in one window."""

    COMPLETE = "complete"
    GAPPY = "gappy"
    EMPTY = "empty"  # the source was there and had nothing to say
    ABSENT = "absent"  # the source was not there
