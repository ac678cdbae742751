"""What msgspec raises for bytes that others wrote: all of it, in one place.

A nesting deeper than Python's stack is a RecursionError, half a character a UnicodeDecodeError.
"""

from __future__ import annotations

import msgspec

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
