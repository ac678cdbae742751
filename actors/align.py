"""Alignment: batches of any number of streams in, closed windows out.

Invariant: what leaves for a stream is StreamEnded last, with a ledger that adds up.
"""

from __future__ import annotations

import msgspec

from actors.messages import Cargo, Packets, StreamEnded, StreamOpened
from actors.translate import window_ready
from streaming.aligner import Aligner
from streaming.clock import NS_PER_MS, Clock
from streaming.revising import RevisingAligner
from streaming.settings import WindowSettings
from streaming.windows import Window


class _Stream(msgspec.Struct, eq=False):
    aligner: Aligner | RevisingAligner
    opened: StreamOpened
    end_ns: int = 0


class AlignStage:
    """The aligners of all streams. `clock` closes windows whose deadline has passed."""

    def __init__(self, windows: WindowSettings, clock: Clock) -> None:
        self._windows = windows
        self._hop_ns = round(windows.hop_ms * NS_PER_MS)
        self._clock = clock
        self._streams: dict[str, _Stream] = {}

    def handle(self, cargo: Cargo) -> list[Cargo]:
        """Take one hand-over from ingest; give what it makes ready."""
        match cargo:
            case StreamOpened():
                self._streams[cargo.stream] = _Stream(self._aligner(cargo), cargo)
                return []
            case Packets(batch=batch):
                stream = self._streams.get(batch.stream)
                if stream is None:
                    return []
                stream.aligner.push(batch)
                return self._poll(stream)
            case _:
                raise TypeError(f"alignment takes no {type(cargo).__name__}")

    def tick(self) -> list[Cargo]:
        """Give what the passing of time alone makes ready."""
        return [out for stream in list(self._streams.values()) for out in self._poll(stream)]

    def _aligner(self, opened: StreamOpened) -> Aligner | RevisingAligner:
        spec = self._windows.spec(opened.modalities, paced=opened.paced)
        revise_ns = round(self._windows.revise_ms * NS_PER_MS)
        if revise_ns and spec.deadline_ns:
            return RevisingAligner(opened.stream, spec, revise_ns)
        return Aligner(opened.stream, spec)

    def _poll(self, stream: _Stream) -> list[Cargo]:
        now_ns = self._clock.now_ns()
        opened = stream.opened
        on_stream_ns = now_ns - opened.origin_ns if opened.paced else None
        out: list[Cargo] = [
            self._ready(stream, w, now_ns) for w in stream.aligner.poll(on_stream_ns)
        ]
        if stream.aligner.finished:
            del self._streams[opened.stream]
            out.append(_ended(stream))
        return out

    def _ready(self, stream: _Stream, window: Window, now_ns: int) -> Cargo:
        stream.end_ns = max(stream.end_ns, window.end_ns)
        return window_ready(
            window,
            self._hop_ns,
            closed_at_ns=now_ns,
            origin_ns=stream.opened.origin_ns,
            paced=stream.opened.paced,
        )


def _ended(stream: _Stream) -> StreamEnded:
    ledger = stream.aligner.ledger()
    return StreamEnded(
        stream=stream.opened.stream,
        end_ns=stream.end_ns,
        pushed=ledger.pushed,
        windowed=ledger.windowed,
        dropped=ledger.dropped,
        health=tuple(stream.aligner.leftover_health()),
    )
