"""The sinks that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from streaming.clock import NS_PER_S
from streaming.errors import AttuneError
from streaming.journal import Journal
from streaming.keys import ServerKeys, read_server_keys
from streaming.settings import AttuneSettings, OutputSettings
from streaming.sinks import JsonlSink, MetricsSink, ReplayServer, Sink, ZmqPublisher, open_replay

BYTES_PER_MB = 1_000_000


def open_sinks(
    settings: AttuneSettings, also_publish: tuple[str, ...] = (), *, again: bool = False
) -> list[Sink]:
    """Open all of them, or none: when one fails, those already open are closed again.

    `again`: in the place of a publisher that was lost, whose file is gone on with.

    The replay port comes first: what is published can be asked for again at once.
    """
    output = settings.output
    keys = read_server_keys(Path(output.keys)) if output.keys else None
    sinks: list[Sink] = []
    try:
        for address in filter(None, (output.publish, *also_publish)):
            publisher = ZmqPublisher(address, keys)
            sinks.append(publisher)
            if address == output.publish and output.replay_s:
                sinks.insert(0, _replay(output, publisher.address, keys))
        if output.file:
            sinks.append(JsonlSink(output.file, append=again))
        if settings.metrics.port:
            sinks.append(MetricsSink(settings.metrics.port))
    except AttuneError:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def _replay(output: OutputSettings, published: str, keys: ServerKeys | None) -> ReplayServer:
    max_bytes = round(output.replay_mb * BYTES_PER_MB)
    span_ns = round(output.replay_s * NS_PER_S)
    journal = None
    if output.journal:
        journal = Journal(output.journal, span_ns=span_ns, max_bytes=max_bytes)
    return open_replay(
        published, span_s=output.replay_s, max_bytes=max_bytes, keys=keys, journal=journal
    )
