"""What the stages hand to one another, and its bytes between processes.

Invariant: decode(encode(x)) equals x, arrays included; nothing is ever unpickled.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from streaming.figures import Figures
from streaming.packets import Float32Array, Modality, PacketBatch, Uint8Array
from streaming.results import (
    FaceCount,
    Health,
    LoudnessTrack,
    ModalityReceipt,
    Prediction,
    Signals,
    SyncReceipt,
)
from streaming.settings import StreamSettings
from streaming.windows import ClosedBy, Status


class StreamOpened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stream's sources are open.

    `origin_ns`: session-clock time of stream time 0. `begin_ns`: stream time from which on packets
    come; later than 0 where the stream had been read before. `segment`: how often the stream has
    come to an end before, as one that is paused and resumed does. `derived`: modalities that are
    made of others and come later; no window waits for them to be shown. `sends_words`: whether
    results may carry what was said.
    """

    stream: str
    modalities: tuple[Modality, ...]
    origin_ns: int
    paced: bool
    begin_ns: int = 0
    segment: int = 0
    derived: tuple[Modality, ...] = ()
    sends_words: bool = False


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """When a stream's time began: `origin_ns` on the session clock is its 0. At `sources_ns` of its
    own time its files began; later than 0 where they were put in the place of others."""

    origin_ns: int
    sources_ns: int = 0
    modalities: tuple[Modality, ...] = ()


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """A stream to be read. `beginning`: where it goes on, if it was read before; its files from
    their own beginning if `anew`."""

    stream: StreamSettings
    segment: int = 0
    beginning: Beginning | None = None
    anew: bool = False


class Packets(msgspec.Struct, frozen=True, tag=True, eq=False):
    """One batch from ingest to the aligner.

    `number`: packets of this stream that the reader has handed over before. `opened`: of the
    stream, so that an aligner that takes another's place can go on with it.
    """

    batch: PacketBatch
    number: int = 0
    opened: StreamOpened | None = None


class TextSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Words and the span of stream time for which they hold. `language`: their tag, if any."""

    start_ns: int
    end_ns: int
    text: str
    language: str = ""


class HopData(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is new in one hop, in the form the models take.

    `faces`: uint8 (F, 48, 48) grey, the leading face at the grid's instants; `audio`: float32
    (N,) at 16 kHz with gaps as zeros; `audio_coverage`: share of N that is real.
    """

    start_ns: int
    end_ns: int
    faces: Uint8Array
    audio: Float32Array
    audio_coverage: float
    texts: tuple[TextSpan, ...]

    def __repr__(self) -> str:
        """Without faces, sound and words: this may end up in a log."""
        return f"HopData({self.start_ns}, {self.end_ns})"


class WindowReady(msgspec.Struct, frozen=True, kw_only=True, tag=True, eq=False):
    """A closed window on its way to the model: only what is new in it, and its receipts.

    `closed_at_ns`: session clock. `words`: in all texts of the window. `skipped`: windows before
    it that were given up under overload, whose news it brings with its own. `sends_words`: as in
    `StreamOpened`. `deadline_ns`: session time by which it had to be closed; 0: none.
    """

    stream: str
    index: int
    start_ns: int
    end_ns: int
    closed_by: ClosedBy
    status: Status = Status.FINAL
    revision: int
    hops: tuple[HopData, ...]
    receipts: dict[Modality, ModalityReceipt]
    loudness: LoudnessTrack
    faces: tuple[FaceCount, ...]
    signals: Signals
    sync: SyncReceipt | None = None
    health: tuple[Health, ...]
    closed_at_ns: int
    origin_ns: int
    paced: bool
    skipped: int = 0
    sends_words: bool = False
    deadline_ns: int = 0


class Scored(msgspec.Struct, frozen=True, tag=True):
    """A prediction on its way to the events and the sinks."""

    prediction: Prediction


class StreamEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing more of this segment follows. `dropped`: packets by reason, over all of it.
    `skipped`: windows at its end that were given up under overload."""

    stream: str
    end_ns: int
    pushed: int = 0
    windowed: int = 0
    dropped: dict[str, int] = {}
    health: tuple[Health, ...] = ()
    segment: int = 0
    skipped: int = 0


class Notice(msgspec.Struct, frozen=True, tag=True):
    """What the supervisor has to say of a stream; published as it comes."""

    health: Health


# What arrays are made of here; a recording could name a type that is anything.
_DTYPES = {np.dtype(kind).str: np.dtype(kind) for kind in (np.uint8, np.int64, np.float32)}

Cargo = StreamOpened | Packets | WindowReady | Scored | StreamEnded | Notice | Figures


def _pack(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return (array.dtype.str, array.shape, array.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot carry a {type(value).__name__} between stages")


def _unpack(kind: Any, value: Any) -> Any:
    dtype, shape, data = value
    if dtype not in _DTYPES:
        raise ValueError(f"expected an array of one of {', '.join(_DTYPES)}, got {dtype!r}")
    return np.frombuffer(data, dtype=_DTYPES[dtype]).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_pack)
_decoder: msgspec.msgpack.Decoder[Cargo] = msgspec.msgpack.Decoder(Cargo, dec_hook=_unpack)


def encode(cargo: Cargo) -> bytes:
    """The bytes of one hand-over."""
    return _encoder.encode(cargo)


def decode(data: bytes) -> Cargo:
    """The hand-over again. Arrays are read-only views of `data`."""
    return _decoder.decode(data)
