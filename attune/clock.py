"""`attune clock`: say what time it is on this host, for an Attune on another one that asks.

ZeroMQ and the message types only, so it starts in a blink.
"""

from __future__ import annotations

import threading
from pathlib import Path

import typer

from streaming.clock_port import ClockPort
from streaming.keys import read_server_keys


def serve_clock(address: str, keys: Path | None, stop: threading.Event | None = None) -> None:
    """Answer at `address` until `stop` is set, or Ctrl-C."""
    port = ClockPort(address, None if keys is None else read_server_keys(keys))
    typer.echo(f"the monotonic clock of this host is told at {port.address}; Ctrl-C ends it")
    try:
        port.serve(stop or threading.Event())
    finally:
        port.close()
