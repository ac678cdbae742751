"""`attune streams`: commands to a running Attune, and how its streams stand afterwards.

ZeroMQ and the message types only, so it starts in a blink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq
from rich.console import Console
from rich.table import Table

from attune import config as configuration
from attune.addresses import require_address
from streaming.control import (
    AddRequest,
    Done,
    Refused,
    Request,
    StreamState,
    decode_reply,
    encode,
)
from streaming.errors import PipelineError, UsageError
from streaming.keys import read_client_keys, use_keys

PATIENCE_S = 30.0  # a camera may take seconds to open, and a window to be published
SOON_S = 2.0  # most answers are there by then


def ask(
    address: str,
    request: Request,
    keys: Path | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> tuple[StreamState, ...]:
    """Ask the Attune that takes commands at `address`; how its streams stand then.

    `waiting` is called once when the answer takes its time.

    Raises UsageError when it refuses, PipelineError when nobody answers within `PATIENCE_S`.
    """
    require_address(address)
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, int("[" in address))
        use_keys(socket, None if keys is None else read_client_keys(keys))
        socket.connect(address)
        socket.send(encode(request))
        if not (there := socket.poll(round(SOON_S * 1000))):
            waiting()
            there = socket.poll(round((PATIENCE_S - SOON_S) * 1000))
        if not there:
            raise PipelineError(
                f"{address}: no answer within {PATIENCE_S:.0f} s: is attune run --control there, "
                "and do the keys fit?"
            )
        reply = decode_reply(socket.recv())
    if isinstance(reply, Refused):
        raise UsageError(reply.reason)
    return reply.streams if isinstance(reply, Done) else ()


def ask_and_show(address: str, keys: Path | None, requests: Sequence[Request]) -> None:
    """Ask for each thing in turn, and show how all streams stand at the end."""
    states: tuple[StreamState, ...] = ()
    for request in requests:
        states = ask(address, request, keys, lambda: _say_waiting(address))
    table = Table("stream", "state", "sources", "last window")
    for state in states:
        last = "-" if state.last_index is None else str(state.last_index)
        table.add_row(state.name, state.state, ", ".join(state.sources), last)
    Console().print(table if states else "no streams", highlight=False)


def _say_waiting(address: str) -> None:
    words = f"attune streams: waiting for an answer from {address}, {PATIENCE_S:.0f} s at most"
    Console(stderr=True).print(words, highlight=False, markup=False)


def additions(
    *,
    name: str | None,
    config: Path | None,
    media: str | None,
    text: str | None,
    force: bool,
    consent: bool = False,
) -> list[Request]:
    """The requests that add what the options say. Paths are taken from the folder one stands in."""
    if (config is None) == (media is None and text is None):
        raise UsageError("expected either --config CONFIG.yaml or --media or --text, with a NAME")
    tree: dict[str, Any] = configuration.load(config)
    if config is None:
        sources = [{"kind": "media", "url": media}] if media is not None else []
        sources += [{"kind": "text", "path": text}] if text is not None else []
        tree = {"streams": [{"name": name or "main", "sources": sources}]}
    if consent:
        configuration.agree(tree)
    streams = configuration.settings(tree, str(config) if config else "streams add").streams
    if not streams:
        raise UsageError(f"{config}: expected streams, found none")
    wanted = [s for s in streams if config is None or name in (None, s.name)]
    if not wanted:
        known = ", ".join(s.name for s in streams)
        raise UsageError(f"{config}: no stream {name!r} there; it has: {known}")
    return [AddRequest(stream=stream, force=force) for stream in wanted]
