"""Freed memory goes back to the system, once a minute.

Buffers of many sizes come and go for days: pictures, pieces of sound, packets that had to wait.
glibc gives back only what is free at the top of its heap, so that a process keeps what it once
needed, and a little more with each hour, since what is free lies in pieces. `malloc_trim`
(malloc_trim(3)) gives back every free page, in some milliseconds.
"""

from __future__ import annotations

import ctypes
import threading

EVERY_S = 60.0


def give_back() -> None:
    """Give back every page of the heap that is free; nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def give_back_meanwhile(stop: threading.Event) -> None:
    """Do so on a thread of its own until `stop`."""
    threading.Thread(target=_repeat, args=(stop,), name="memory", daemon=True).start()


def _repeat(stop: threading.Event) -> None:
    while not stop.wait(EVERY_S):
        give_back()
