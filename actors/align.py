"""Alignment: batches of any number of streams in, closed windows out.

Invariant: what leaves for a stream is StreamEnded last, with a ledger that adds up. A stage that
takes another's place and is handed the latest batches again goes on with the same windows.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.accounts import Account, Carried
from actors.messages import Cargo, Packets, StreamEnded, StreamOpened
from actors.window_ready import window_ready
from streaming.aligner import Aligner
from streaming.clock import NS_PER_MS, NS_PER_S, Clock
from streaming.packets import T_NS, Modality, PacketBatch
from streaming.revising import RevisingAligner
from streaming.settings import SyncSettings, WindowSettings
from streaming.sync.meter import SyncMeter
from streaming.windows import Status, Window

PATIENCE_NS = 2 * NS_PER_S  # for what was sent before, when a stage takes another's place


class _Stream(msgspec.Struct, eq=False):
    aligner: Aligner | RevisingAligner
    opened: StreamOpened
    account: Account
    meter: SyncMeter | None = None  # of a stream that can be seen and heard
    from_index: int = 0  # windows before this one have been published
    from_ns: int = 0  # packets before this time are of no use any more
    behind_ns: int = 0  # until packets of this time have come, no deadline counts
    patient_ns: int = 0  # but no longer than until this time of the session
    end_ns: int = 0


class AlignStage:
    """The aligners of all streams. `clock` closes windows whose deadline has passed.

    `published`: of streams that another stage has aligned so far, the last window that was
    published; `carried`: their accounts; `ended`: how many of their segments are over.
    """

    def __init__(
        self,
        windows: WindowSettings,
        clock: Clock,
        published: Mapping[str, int] | None = None,
        carried: Mapping[str, Carried] | None = None,
        ended: Mapping[str, int] | None = None,
        sync: SyncSettings | None = None,
    ) -> None:
        self._windows, self._sync = windows, sync or SyncSettings()
        self._hop_ns = round(windows.hop_ms * NS_PER_MS)
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._published = dict(published or {})
        self._carried = dict(carried or {})
        self._ended = dict(ended or {})
        self._excused_ns = clock.now_ns() + PATIENCE_NS if published else 0

    def handle(self, cargo: Cargo) -> list[Cargo]:
        """Take one hand-over from ingest; give what it makes ready."""
        match cargo:
            case StreamOpened():
                if cargo.stream not in self._streams and self._is_open(cargo):
                    self._begin(cargo, cargo.begin_ns)  # otherwise its reader was started anew
                return []
            case Packets(batch=batch, opened=opened):
                stream = self._streams.get(batch.stream)
                if stream is None and opened is not None and self._is_open(opened):
                    stream = self._begin(opened, self._oldest_ns(batch))
                if stream is None:
                    return []
                if opened is not None:  # a reader on another node knows its clock ever better
                    stream.opened = msgspec.structs.replace(
                        stream.opened, origin_ns=opened.origin_ns
                    )
                kept = _kept(stream, cargo)
                stream.aligner.push(stream.meter.moved(kept) if stream.meter else kept)
                if batch.progress_ns >= stream.behind_ns:
                    stream.behind_ns = 0
                return self._poll(stream)
            case _:
                raise TypeError(f"alignment takes no {type(cargo).__name__}")

    def tick(self) -> list[Cargo]:
        """Give what the passing of time alone makes ready."""
        return [out for stream in list(self._streams.values()) for out in self._poll(stream)]

    def accounts(self) -> dict[str, Carried]:
        """Where each stream stands, for the stage that may have to take over."""
        return {
            name: stream.account.carried(stream.aligner.ledger(), stream.opened.segment)
            for name, stream in self._streams.items()
        }

    def _is_open(self, opened: StreamOpened) -> bool:
        """Whether this segment is still to be aligned: what is sent again may be older."""
        return opened.segment >= self._ended.get(opened.stream, 0)

    def _begin(self, opened: StreamOpened, oldest_ns: int) -> _Stream:
        """Begin at `oldest_ns`, or after the last published window if that is later.

        The windows just before it are made again and withheld: the aligner's memory reaches that
        far.
        """
        now_ns = self._clock.now_ns()
        since = self._published.pop(opened.stream, -1) + 1
        length = round(self._windows.length_ms / self._windows.hop_ms)
        start = max(since - 2 * length, oldest_ns // self._hop_ns, 0)
        carried = self._carried.pop(opened.stream, None)
        stream = self._streams[opened.stream] = _Stream(
            self._aligner(opened, start),
            opened,
            Account(carried if carried and carried.segment == opened.segment else None),
            self._meter(opened),
            from_index=since,
            from_ns=start * self._hop_ns,
            behind_ns=now_ns - opened.origin_ns - self._hop_ns,
            patient_ns=now_ns + PATIENCE_NS,
        )
        return stream

    def _meter(self, opened: StreamOpened) -> SyncMeter | None:
        both = {Modality.VIDEO, Modality.AUDIO} <= set(opened.modalities)
        if not both:
            return None
        patience_ns = round((self._windows.deadline_ms + self._windows.revise_ms) * NS_PER_MS)
        waits = not opened.paced or not self._windows.deadline_ms
        return SyncMeter(opened.stream, self._sync, None if waits else patience_ns // 2)

    def _oldest_ns(self, batch: PacketBatch) -> int:
        times = batch.header[:, T_NS]
        return int(times.min()) if len(times) else max(batch.progress_ns - self._hop_ns, 0)

    def _aligner(self, opened: StreamOpened, first_index: int = 0) -> Aligner | RevisingAligner:
        spec = self._windows.spec(opened.modalities, paced=opened.paced)
        revise_ns = round(self._windows.revise_ms * NS_PER_MS)
        if revise_ns and spec.deadline_ns:
            return RevisingAligner(opened.stream, spec, revise_ns, first_index, opened.derived)
        return Aligner(opened.stream, spec, first_index=first_index)

    def _poll(self, stream: _Stream) -> list[Cargo]:
        now_ns = self._clock.now_ns()
        opened = stream.opened
        waits = not opened.paced or (stream.behind_ns > 0 and now_ns < stream.patient_ns)
        on_stream_ns = None if waits else now_ns - opened.origin_ns
        out: list[Cargo] = [
            self._ready(stream, w, now_ns)
            for w in stream.aligner.poll(on_stream_ns)
            if w.index >= stream.from_index
        ]
        if stream.aligner.finished:
            del self._streams[opened.stream]
            self._ended[opened.stream] = opened.segment + 1
            out.append(_ended(stream))
        return out

    def _ready(self, stream: _Stream, window: Window, now_ns: int) -> Cargo:
        stream.end_ns = max(stream.end_ns, window.end_ns)
        ready = window_ready(
            _metered(stream.meter, window) if stream.meter else window,
            self._hop_ns,
            closed_at_ns=now_ns,
            origin_ns=stream.opened.origin_ns,
            paced=stream.opened.paced,
        )
        sync = None if stream.meter is None else stream.meter.receipt
        return msgspec.structs.replace(
            ready,
            sync=sync,
            sends_words=stream.opened.sends_words,
            deadline_ns=self._deadline_ns(stream.opened, window),
        )

    def _deadline_ns(self, opened: StreamOpened, window: Window) -> int:
        """By when `window` had to be closed; 0 if it had not, or another stage was lost then."""
        patience_ms = self._windows.deadline_ms
        if window.status is not Status.PROVISIONAL:
            patience_ms += self._windows.revise_ms
        due_ns = opened.origin_ns + window.end_ns + round(patience_ms * NS_PER_MS)
        hurries = opened.paced and self._windows.deadline_ms > 0
        return due_ns if hurries and due_ns > self._excused_ns else 0


def _metered(meter: SyncMeter, window: Window) -> Window:
    """`window` with what its sound and picture together told, if it is settled."""
    views = tuple(
        msgspec.structs.replace(view, offset_ns=meter.moved_ns)
        if meter.moved_ns and view.modality is Modality.AUDIO
        else view
        for view in window.views
    )
    told = () if window.status is Status.PROVISIONAL else meter.observe(window)
    return msgspec.structs.replace(window, views=views, health=(*window.health, *told))


def _kept(stream: _Stream, cargo: Packets) -> PacketBatch:
    """The batch less what lies before the stage's time, entered in the account."""
    batch = cargo.batch
    kept = batch.header[:, T_NS] >= stream.from_ns
    if not stream.from_ns:
        kept[:] = True  # packets before the stream's origin are the aligner's to refuse
    reader = cargo.opened.begin_ns if cargo.opened is not None else 0
    stream.account.take(cargo.number, kept, reader)
    if kept.all():
        return batch
    payloads = tuple(p for p, keep in zip(batch.payloads, kept, strict=True) if keep)
    return msgspec.structs.replace(batch, header=batch.header[kept], payloads=payloads)


def _ended(stream: _Stream) -> StreamEnded:
    ledger = stream.account.whole(stream.aligner.ledger())
    return StreamEnded(
        stream=stream.opened.stream,
        end_ns=stream.end_ns,
        pushed=ledger.pushed,
        windowed=ledger.windowed,
        dropped=ledger.dropped,
        health=tuple(stream.aligner.leftover_health()),
        segment=stream.opened.segment,
    )
