"""Packets: what sources emit, with the time at which the world produced it.

Invariant: `t_ns` is capture time on the stream's own time line (first sample, mid-exposure
or commit of the text), never arrival time. Packets travel in batches of one modality whose
times stand in one integer matrix, so that the aligner never loops over Python objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from streaming.health import Health
from streaming.modality import Modality as Modality

# Columns of a batch's header matrix, int64 (n, 5).
SEQ, T_NS, DURATION_NS, UNCERTAINTY_NS, RECEIVED_NS = range(5)
HEADER_COLUMNS = 5

Uint8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at an instant between these two, counted from its packet's `t_ns`."""

    from_ns: int
    to_ns: int


class Light(msgspec.Struct, frozen=True, kw_only=True):
    """Mean grey level, 0 to 255, of a picture taken `before_ns` before its packet's `t_ns`."""

    before_ns: int
    level: float


class Glance(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A picture taken `before_ns` before its packet's `t_ns`. `grey`: uint8 (H, W), small."""

    before_ns: int
    grey: Uint8Array

    def __repr__(self) -> str:
        """Without the picture: this may end up in a log."""
        return f"Glance{self.grey.shape}"


class Trace(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Something measured again and again. `values`: float32 (N, D), taken at `at_ns`: int64 (N,),
    counted from its packet's `t_ns`."""

    at_ns: Int64Array
    values: Float32Array

    def __repr__(self) -> str:
        """Without what was measured: this may end up in a log."""
        return f"Trace{self.values.shape}"


class VideoFrame(msgspec.Struct, frozen=True, kw_only=True, eq=False, tag=True):
    """One picture. `pixels`: uint8 RGB (H, W, 3), read-only.

    `light`: of the pictures since the last one that was looked at, where it is followed;
    `glances`: these pictures themselves, where mouths are.
    """

    pixels: Uint8Array
    light: tuple[Light, ...] = ()
    glances: tuple[Glance, ...] = ()

    def __repr__(self) -> str:
        """Without the picture: this may end up in a log."""
        return f"VideoFrame{self.pixels.shape}"


class FaceCrop(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One face cut from a frame. `pixels`: uint8 RGB (H, W, 3); `box_px`: x, y, width, height."""

    pixels: Uint8Array
    box_px: tuple[int, int, int, int]
    track_id: int
    score: float

    def __repr__(self) -> str:
        """Without the face: this may end up in a log."""
        return f"FaceCrop{self.pixels.shape}"


class FaceObservation(msgspec.Struct, frozen=True, kw_only=True, eq=False, tag=True):
    """All faces of one frame, largest first. An empty tuple says: looked, and nobody was there.

    `flashes`: of the whole picture since the last look, where its light is followed. `mouth`: how
    the largest face's mouth moved since then, where that is; see `streaming.sources.mouth`.
    """

    frame_width_px: int
    frame_height_px: int
    faces: tuple[FaceCrop, ...]
    flashes: tuple[Mark, ...] = ()
    mouth: Trace | None = None


class AudioChunk(msgspec.Struct, frozen=True, kw_only=True, eq=False, tag=True):
    """Sound. `samples`: float32 (N, C) in [-1, 1]. `onsets`: where it sets in out of quiet.

    `voice`: its colour every 20 ms, where mouths are followed; see `streaming.sync.voice`.
    """

    samples: Float32Array
    sample_rate_hz: int
    onsets: tuple[Mark, ...] = ()
    voice: Trace | None = None

    def __repr__(self) -> str:
        """Without the sound: this may end up in a log."""
        return f"AudioChunk{self.samples.shape}"


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word and when it was said. `probability`: what the recogniser says of it, 0 to 1."""

    text: str
    start_ns: int
    end_ns: int
    probability: float = 1.0


class TextMessage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Words, committed at the packet's `t_ns` and valid for its `duration_ns`.

    `words`: the same with their own times, where they are known.
    """

    text: str
    language: str = ""
    speaker: str = ""
    is_final: bool = True
    words: tuple[Word, ...] = ()


Payload = VideoFrame | FaceObservation | AudioChunk | TextMessage


class Packet(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One piece of one modality of one stream.

    `seq` counts up by one for each packet a source emits in this stream and modality.
    `uncertainty_ns` bounds the error of `t_ns`. `received_ns` is session-clock time.
    """

    stream: str
    modality: Modality
    seq: int
    t_ns: int
    payload: Payload
    duration_ns: int = 0
    uncertainty_ns: int = 0
    received_ns: int = 0

    @property
    def end_ns(self) -> int:
        """First instant after the packet."""
        return self.t_ns + self.duration_ns


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A source's promise: no packet of `modality` with `t_ns` below this one will follow.

    `ended` says that none will follow at all.
    """

    stream: str
    modality: Modality
    t_ns: int
    ended: bool = False


class PacketBatch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Packets of one stream and modality, cut on a hop boundary.

    `header`: int64 (n, 5), columns SEQ, T_NS, DURATION_NS, UNCERTAINTY_NS, RECEIVED_NS.
    `payloads`: n payloads, row for row. `progress_ns` and `ended` as in `Progress`.
    """

    stream: str
    modality: Modality
    header: Int64Array
    payloads: tuple[Payload, ...]
    progress_ns: int = 0
    ended: bool = False
    health: tuple[Health, ...] = ()

    @classmethod
    def of(
        cls,
        stream: str,
        modality: Modality,
        packets: Sequence[Packet],
        *,
        progress_ns: int = 0,
        ended: bool = False,
        health: tuple[Health, ...] = (),
    ) -> PacketBatch:
        """Pack `packets`, all of one stream and modality, in the order given."""
        header = np.empty((len(packets), HEADER_COLUMNS), dtype=np.int64)
        for row, p in enumerate(packets):
            header[row] = (p.seq, p.t_ns, p.duration_ns, p.uncertainty_ns, p.received_ns)
        return cls(
            stream=stream,
            modality=modality,
            header=header,
            payloads=tuple(p.payload for p in packets),
            progress_ns=progress_ns,
            ended=ended,
            health=health,
        )

    def packets(self) -> Iterator[Packet]:
        """The rows as packets again."""
        for row, payload in zip(self.header, self.payloads, strict=True):
            yield Packet(
                stream=self.stream,
                modality=self.modality,
                seq=int(row[SEQ]),
                t_ns=int(row[T_NS]),
                duration_ns=int(row[DURATION_NS]),
                uncertainty_ns=int(row[UNCERTAINTY_NS]),
                received_ns=int(row[RECEIVED_NS]),
                payload=payload,
            )
