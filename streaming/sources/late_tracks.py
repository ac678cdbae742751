"""Tracks that a running stream has got since it was opened, which PyAV does not give out.

Invariant: FFmpeg's own list of tracks is asked for by the thread that reads, so it does not change
meanwhile, and nothing of its words reaches a log.
"""

from __future__ import annotations

import logging
import re
import threading

import av.logging
from av.container import InputContainer

GROWING = frozenset(
    {"mpegts", "flv", "live_flv", "hls"}
)  # formats of streams that may get tracks later
TRACK = re.compile(r"^ +Stream #0:(\d+)\S*: (Video|Audio)", re.MULTILINE)

_level = threading.Lock()  # it is one for the whole process
logging.getLogger("libav").setLevel(logging.CRITICAL + 1)


def may_grow(container: InputContainer) -> bool:
    """Whether tracks may come later."""
    return not GROWING.isdisjoint(container.format.name.split(","))


def late_kinds(container: InputContainer) -> set[str]:
    """Of which kinds, "video" or "audio", there are tracks that were not there at first."""
    with _level:
        av.logging.set_level(av.logging.INFO)
        try:
            described = container.dumps_format()  # type: ignore[attr-defined] # not in its stubs
        finally:
            av.logging.set_level(av.logging.PANIC)
    known = len(container.streams)
    return {kind.lower() for index, kind in TRACK.findall(described) if int(index) >= known}
