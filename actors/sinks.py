"""The sinks that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from streaming.audit import AuditLog
from streaming.clock import NS_PER_S
from streaming.errors import AttuneError
from streaming.journal import Journal
from streaming.keys import ServerKeys, read_server_keys
from streaming.settings import AttuneSettings, OutputSettings
from streaming.sinks import JsonlSink, MetricsSink, ReplayServer, Sink, ZmqPublisher, open_replay
from streaming.sinks.metrics import Refused
from streaming.sinks.retention import JsonlParts, Sweeper

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
    ports: dict[str, Refused] = {}
    audit = AuditLog(output.audit) if output.audit else None
    try:
        for address in filter(None, (output.publish, *also_publish)):
            own = address == output.publish  # the others are for this program itself
            publisher = ZmqPublisher(address, keys, audit if own else None)
            sinks.append(publisher)
            if own:
                ports["publish"] = publisher.refused
            if own and output.replay_s:
                replay = _replay(output, publisher.address, keys, audit)
                sinks.insert(0, replay)
                ports["replay"] = replay.refused
        sinks += _files(output, again=again)
        if settings.metrics.port:
            sinks.append(MetricsSink(settings.metrics.port, ports))
    except AttuneError:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def _files(output: OutputSettings, *, again: bool) -> list[Sink]:
    """The file of results, and what sees to it that nothing is kept for too long."""
    retain_ns = round(output.retain_h * 3600 * NS_PER_S)
    if not retain_ns:
        return [JsonlSink(output.file, append=again)] if output.file else []
    parts = JsonlParts(output.file, retain_ns) if output.file not in ("", "-") else None
    plain: list[Sink] = [JsonlSink("-")] if output.file == "-" else []
    sweeper = Sweeper(retain_ns, parts=parts, folder=output.retain_folder, journal=output.journal)
    return [*plain, *([parts] if parts else []), sweeper]


def _replay(
    output: OutputSettings, published: str, keys: ServerKeys | None, audit: AuditLog | None
) -> ReplayServer:
    max_bytes = round(output.replay_mb * BYTES_PER_MB)
    span_s = min(output.replay_s, output.retain_h * 3600 or output.replay_s)
    span_ns = round(span_s * NS_PER_S)
    journal = None
    if output.journal:
        journal = Journal(output.journal, span_ns=span_ns, max_bytes=max_bytes)
    return open_replay(
        published, span_s=span_s, max_bytes=max_bytes, keys=keys, journal=journal, audit=audit
    )
