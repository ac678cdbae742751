"""Sound beside picture, as a stream's own windows show it: measured, told of, and made good.

Invariant: pure, and a function of the settled windows alone, so that a replay says the same. What
is not sure is not said; what was said is forgotten when nothing has borne it out for a minute.
"""

from __future__ import annotations

import msgspec

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import Health, HealthKind
from streaming.packets import (
    T_NS,
    UNCERTAINTY_NS,
    AudioChunk,
    FaceObservation,
    Mark,
    Modality,
    PacketBatch,
    Payload,
)
from streaming.results import SyncReceipt
from streaming.settings import SyncSettings
from streaming.sync.offset import FAR_NS, Offset, Span, measure
from streaming.sync.speaker import SpeakerOffset
from streaming.windows import Window

KEPT_NS = 30 * NS_PER_S
KEPT_FLASHES = 12  # so that a new offset outvotes the old one soon
TRUSTED_NS = 60 * NS_PER_S
AGREE = 3  # estimates in a row before anything is done about it
AGREE_MS = 40.0
BACK = 0.75  # of the limit: under this sound and picture are in step again
WORTH_MS = 20.0  # less than this is left as it is
SETTLE_NS = NS_PER_S  # of sound that was already on its way when it was moved


class SyncMeter:
    """How late the sound of one stream is. Windows go in, in order; `receipt` comes out.

    `room_ns`: the sound may be moved back by no more than this, or it would come after its
    windows have gone out; None: they wait.
    """

    def __init__(self, stream: str, settings: SyncSettings, room_ns: int | None = None) -> None:
        self._stream, self._settings, self._room_ns = stream, settings, room_ns
        self._seen_ns: dict[Modality, int] = {}
        self._pushed_ns = self._corrected_ns = 0
        self._out_of_step = False
        self.receipt: SyncReceipt | None = None  # None: neither a flash nor a speaker yet
        self._speaker = SpeakerOffset()
        self._begin(0)

    def _begin(self, from_ns: int) -> None:
        """Forget all marks; take none from before `from_ns`."""
        self._from_ns, self._told_ns = from_ns, 0
        self._flashes: list[Span] = []
        self._onsets: list[Span] = []
        self._row: list[float] = []  # the last offsets, ms
        self._speaker.begin(from_ns)

    @property
    def moved_ns(self) -> int:
        """By how much the sound's times are moved."""
        return -self._corrected_ns

    def moved(self, batch: PacketBatch) -> PacketBatch:
        """`batch` with the sound's times put right, as far as is known and wanted."""
        if batch.modality is not Modality.AUDIO:
            return batch
        if len(batch.header):
            self._pushed_ns = max(self._pushed_ns, int(batch.header[-1, T_NS]) + self.moved_ns)
        if not self._corrected_ns:
            return batch
        header = batch.header.copy()
        header[:, T_NS] += self.moved_ns
        progress_ns = max(batch.progress_ns + self.moved_ns, 0) if batch.progress_ns else 0
        return msgspec.structs.replace(batch, header=header, progress_ns=progress_ns)

    def observe(self, window: Window) -> tuple[Health, ...]:
        """Take one settled window; what is to be told of it."""
        for view in window.views:
            last_ns = self._seen_ns.get(view.modality, -1)
            for row, payload in zip(view.header, view.payloads, strict=True):
                if row[T_NS] > last_ns:
                    self._take(int(row[T_NS]), int(row[UNCERTAINTY_NS]), payload)
            if len(view.header):
                self._seen_ns[view.modality] = max(last_ns, int(view.header[-1, T_NS]))
        since_ns = window.end_ns - KEPT_NS
        self._flashes = [f for f in self._flashes if f[0] >= since_ns]
        self._onsets = [o for o in self._onsets if o[0] >= since_ns - FAR_NS]
        return self._judge(window.end_ns)

    def _take(self, t_ns: int, uncertainty_ns: int, payload: Payload) -> None:
        match payload:
            case AudioChunk(onsets=marks, voice=voice):
                self._onsets += self._dated(marks, t_ns, uncertainty_ns)
                if voice is not None:
                    self._speaker.hear(t_ns, uncertainty_ns, voice)
            case FaceObservation(flashes=marks, mouth=mouth):
                self._flashes += self._dated(marks, t_ns, uncertainty_ns)
                if mouth is not None:
                    self._speaker.see(t_ns, uncertainty_ns, mouth)
            case _:
                pass

    def _dated(self, marks: tuple[Mark, ...], t_ns: int, uncertainty_ns: int) -> list[Span]:
        spans = [
            (t_ns + m.from_ns - uncertainty_ns, t_ns + m.to_ns + uncertainty_ns) for m in marks
        ]
        return [span for span in spans if span[0] >= self._from_ns]

    def _judge(self, now_ns: int) -> tuple[Health, ...]:
        told = [f for f in self._flashes if f[1] + FAR_NS <= now_ns][-KEPT_FLASHES:]
        found = measure(told, self._onsets) or self._speaker.measure(now_ns)
        if found is None:
            self._row = []
            if now_ns - self._told_ns > TRUSTED_NS:
                self.receipt = self._receipt(None) if self.receipt or self._flashes else None
            return ()
        self._told_ns = now_ns
        self.receipt = self._receipt(found)
        offset_ms, uncertainty_ms = found.offset_ns / NS_PER_MS, found.uncertainty_ns / NS_PER_MS
        self._row = [*self._row[1 - AGREE :], offset_ms]
        if len(self._row) < AGREE or max(self._row) - min(self._row) > AGREE_MS:
            return ()
        news = self._news(offset_ms, uncertainty_ms, now_ns)
        return (*news, *self._correct(offset_ms, uncertainty_ms, now_ns))

    def _receipt(self, found: Offset | None) -> SyncReceipt:
        corrected_ms = self._corrected_ns / NS_PER_MS
        if found is None:
            return SyncReceipt(corrected_ms=corrected_ms)
        return SyncReceipt(
            av_offset_ms=round(found.offset_ns / NS_PER_MS, 1),
            uncertainty_ms=round(found.uncertainty_ns / NS_PER_MS + 0.05, 1),
            confidence=round(1 - found.chance, 4),
            pairs=found.pairs,
            measured_by="flashes" if found.pairs else "speech",
            corrected_ms=corrected_ms,
        )

    def _news(self, offset_ms: float, uncertainty_ms: float, now_ns: int) -> tuple[Health, ...]:
        """Out of step is said where the limit is passed for certain, in step well within it."""
        limit_ms = self._settings.late_ms if offset_ms > 0 else self._settings.early_ms
        if self._out_of_step:
            out = abs(offset_ms) > limit_ms * BACK
        else:
            out = abs(offset_ms) - uncertainty_ms > limit_ms
        if out is self._out_of_step:
            return ()
        self._out_of_step = out
        if not out:
            return (self._health(HealthKind.RECOVERED, "sound and picture are in step", now_ns),)
        word = "late" if offset_ms > 0 else "early"
        words = f"the sound is {abs(offset_ms):.0f} ms {word} beside the picture"
        if self._settings.correct and not self._has_room(offset_ms):
            words += "; it is not moved: windows.deadline_ms would have to be twice that or more"
        return (self._health(HealthKind.DESYNCHRONISED, words, now_ns),)

    def _has_room(self, offset_ms: float) -> bool:
        return self._room_ns is None or self._after(offset_ms) <= self._room_ns

    def _after(self, offset_ms: float) -> int:
        """The correction once this much more is taken off, in whole tenths of a millisecond."""
        return self._corrected_ns + round(offset_ms * 10) * NS_PER_MS // 10

    def _correct(self, offset_ms: float, uncertainty_ms: float, now_ns: int) -> tuple[Health, ...]:
        """Move the sound from the next batch on, at once, and measure anew."""
        if not self._settings.correct or abs(offset_ms) <= max(WORTH_MS, uncertainty_ms):
            return ()
        if not self._has_room(offset_ms):
            return ()
        self._corrected_ns = self._after(offset_ms)
        self._begin(max(self._pushed_ns, now_ns) + SETTLE_NS)
        self._told_ns, self.receipt = now_ns, self._receipt(None)
        words = f"the sound is moved by {-offset_ms:+.0f} ms to meet the picture"
        return (self._health(HealthKind.CLOCK_JUMP, words, now_ns),)

    def _health(self, kind: HealthKind, detail: str, t_ns: int) -> Health:
        return Health(
            stream=self._stream, kind=kind, t_ns=t_ns, modality=Modality.AUDIO, detail=detail
        )
