"""The sinks that the settings ask for."""

from __future__ import annotations

from streaming.errors import AttuneError
from streaming.settings import OutputSettings
from streaming.sinks import JsonlSink, Sink, ZmqPublisher


def open_sinks(output: OutputSettings, also_publish: tuple[str, ...] = ()) -> list[Sink]:
    """Open all of them, or none: when one fails, those already open are closed again."""
    sinks: list[Sink] = []
    try:
        for address in filter(None, (output.publish, *also_publish)):
            sinks.append(ZmqPublisher(address))  # noqa: PERF401 - the open ones must be closed
        if output.file:
            sinks.append(JsonlSink(output.file))
    except AttuneError:
        for sink in sinks:
            sink.close()
        raise
    return sinks
