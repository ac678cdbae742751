"""`attune ping`: is there a publisher that lives? For health checks of containers and services.

ZeroMQ and the message types only, so it starts in a blink.
"""

from __future__ import annotations

import time
from pathlib import Path

import typer

from attune.client import Delivery, Subscription
from streaming.errors import SourceError
from streaming.results import Heartbeat


def ping(address: str, *, within_s: float, keys: Path | None = None) -> None:
    """Return at the first heartbeat of the publisher at `address`.

    Raises SourceError when none came within `within_s` seconds.
    """
    until_s = time.monotonic() + within_s
    with Subscription(address, [], mend=False, keys=keys) as subscription:
        while (left_s := until_s - time.monotonic()) > 0:
            for item in subscription.receive(round(left_s * 1000)):
                if isinstance(item, Delivery) and isinstance(item.message, Heartbeat):
                    streams = len(item.message.last_seq)
                    typer.echo(f"{address}: alive; streams heard of: {streams}")
                    return
    raise SourceError(
        f"{address}: expected a heartbeat within {within_s:g} s, none came: see whether attune run "
        "is at work there, and whether the address and the keys are right"
    )
