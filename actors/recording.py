"""Recording: the aligner's stage with everything that goes into it written down first.

Invariant: the stage reads the very times that are written, so that replaying them gives the same
windows, those that a deadline has closed among them.
"""

from __future__ import annotations

import msgspec
import numpy as np

from actors.align import AlignStage
from actors.messages import Cargo, Packets, StreamOpened, encode
from streaming.clock import Clock, HandClock
from streaming.packets import AudioChunk, FaceObservation, Payload, TextMessage
from streaming.settings import SyncSettings, WindowSettings
from streaming.sinks.recording import OPENED, PACKETS, TICK, RecordingWriter


class RecordedAlign:
    """An `AlignStage` on paper. Without `keep_media` only times are kept: no picture, sound, word.

    `clock`: read once for each hand-over.
    """

    def __init__(
        self,
        windows: WindowSettings,
        clock: Clock,
        writer: RecordingWriter,
        *,
        keep_media: bool,
        sync: SyncSettings | None = None,
    ) -> None:
        self._clock = clock
        self._held = HandClock(clock.now_ns())
        self._stage = AlignStage(windows, self._held, sync=sync)
        self._writer = writer
        self._keep_media = keep_media

    def handle(self, cargo: Cargo) -> list[Cargo]:
        """Write down one hand-over, then align it."""
        now_ns = self._hold()
        kept = cargo if self._keep_media else without_media(cargo)
        self._writer.admit(topic_of(cargo), encode(kept), now_ns)
        return self._stage.handle(cargo)

    def tick(self) -> list[Cargo]:
        """Let time pass; it is written down where it made a window."""
        now_ns = self._hold()
        out = self._stage.tick()
        if out:
            self._writer.admit(TICK, b"", now_ns)
        return out

    def _hold(self) -> int:
        self._held.advance(max(self._clock.now_ns() - self._held.now_ns(), 0))
        return self._held.now_ns()


def topic_of(cargo: Cargo) -> str:
    """Where a hand-over to the aligner stands in a recording."""
    match cargo:
        case StreamOpened(stream=stream):
            return f"{OPENED}/{stream}"
        case Packets(batch=batch):
            return f"{PACKETS}/{batch.stream}"
        case _:
            raise TypeError(f"a recording takes no {type(cargo).__name__}")


def without_media(cargo: Cargo) -> Cargo:
    """The same times and counts, with nothing to be seen, heard or read."""
    if not isinstance(cargo, Packets):
        return cargo
    payloads = tuple(map(_emptied, cargo.batch.payloads))
    batch = msgspec.structs.replace(cargo.batch, payloads=payloads)
    return msgspec.structs.replace(cargo, batch=batch)


def _emptied(payload: Payload) -> Payload:
    match payload:
        case AudioChunk():
            return msgspec.structs.replace(payload, samples=np.zeros((0, 1), np.float32))
        case FaceObservation():
            return msgspec.structs.replace(payload, faces=())
        case TextMessage():
            return TextMessage(text="")
        case _:
            raise TypeError(f"a recording takes no {type(payload).__name__}")
