"""Addresses of publishers and names of streams, as a subscriber is given them."""

from __future__ import annotations

import re
from collections.abc import Collection

from streaming.errors import UsageError
from streaming.wire import HEARTBEAT_TOPIC

_ADDRESS = re.compile(r"tcp://(\[[0-9A-Fa-f:.%\w]+\]|[^/:\[\]\s*]+):(?P<port>\d{1,5})|ipc://.+")
_STREAM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def beside(address: str, told: str) -> str:
    """The place `told` by the publisher at `address`, on the host by which that was reached.

    A publisher that serves all interfaces, or stands behind a gateway, cannot know that name.

    >>> beside("tcp://camera.lan:7100", "tcp://0.0.0.0:7101")
    'tcp://camera.lan:7101'
    """
    if not (address.startswith("tcp://") and told.startswith("tcp://")):
        return told
    return f"{address.rpartition(':')[0]}:{told.rpartition(':')[2]}"


def require_address(address: str) -> None:
    """Refuse what cannot be an address, in one line."""
    found = _ADDRESS.fullmatch(address)
    if found is None or (found["port"] and not 0 < int(found["port"]) <= 65535):
        raise UsageError(
            f"cannot connect to {address!r}: expected an address like tcp://127.0.0.1:7100"
            " or ipc:///tmp/attune"
        )


def require_stream(stream: str) -> str:
    """The same name, or a refusal in one line."""
    if not _STREAM.fullmatch(stream):
        raise UsageError(
            f"{stream!r} cannot be a stream: use 1 to 64 letters, digits, '_', '.' or '-'"
        )
    return stream


def prefixes(streams: Collection[str] | None) -> list[bytes]:
    """What to ask ZeroMQ for, so that everything of `streams` (None: of all) comes."""
    if streams is None:
        return [b""]
    kinds = (f"{kind}/{name}" for name in streams for kind in ("result", "event", "health"))
    return [HEARTBEAT_TOPIC.encode(), *(kind.encode() for kind in kinds)]
