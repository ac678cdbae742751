"""Hand-overs of a recording, checked: what the aligner relies on holds, whoever wrote the file.

Invariant: what passes cannot make the replay fail, nor close more windows at once than an hour has.
"""

from __future__ import annotations

import numpy as np

from actors.messages import Cargo, Packets, StreamOpened, decode
from streaming.clock import NS_PER_S
from streaming.errors import SourceError
from streaming.packets import (
    DURATION_NS,
    HEADER_COLUMNS,
    T_NS,
    AudioChunk,
    FaceObservation,
    Modality,
    PacketBatch,
    Payload,
    TextMessage,
)
from streaming.settings import AUDIO_RATE_HZ
from streaming.sources.recording import Entry
from streaming.undecodable import UNDECODABLE

LEAP_NS = 3600 * NS_PER_S  # a longer silence is none that was recorded
LATEST_NS = 2**61
PAYLOADS = {
    Modality.VIDEO: FaceObservation,
    Modality.AUDIO: AudioChunk,
    Modality.TEXT: TextMessage,
}


class Checked:
    """Reads the hand-overs of one recording, in order. Each raises SourceError where it is none."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._opened: dict[str, StreamOpened] = {}
        self._reached_ns: dict[str, int] = {}

    def time(self, entry: Entry) -> int:
        """The session time of an entry."""
        self._require(entry, 0 <= entry.now_ns <= LATEST_NS, "its time cannot be")
        fits = not self._now_ns or entry.now_ns <= self._now_ns + LEAP_NS
        self._require(entry, fits, "time leaps by more than an hour")
        self._now_ns = max(entry.now_ns, self._now_ns)
        return entry.now_ns

    def cargo(self, entry: Entry) -> Cargo:
        """The hand-over in an entry."""
        try:
            cargo = decode(entry.data)
        except UNDECODABLE as error:
            raise SourceError(
                f"the recording's entry {entry.topic} cannot be read: {error}"
            ) from None
        match cargo:
            case StreamOpened():
                self._open(entry, cargo)
            case Packets():
                self._check(entry, cargo)
            case _:
                raise SourceError(f"the recording's entry {entry.topic} is none for the aligner")
        return cargo

    def _open(self, entry: Entry, opened: StreamOpened) -> None:
        times = (opened.origin_ns, opened.begin_ns)
        self._require(entry, all(0 <= t <= LATEST_NS for t in times), "its beginning cannot be")
        several = len(set(opened.modalities)) == len(opened.modalities) > 0
        self._require(entry, several, "a stream has each modality once, and at least one")
        if opened.stream not in self._opened:
            self._opened[opened.stream] = opened
            self._reached_ns[opened.stream] = opened.begin_ns

    def _check(self, entry: Entry, cargo: Packets) -> None:
        batch = cargo.batch
        if cargo.opened is not None:
            self._require(entry, cargo.opened.stream == batch.stream, "it is of two streams")
            self._open(entry, cargo.opened)
        opened = self._opened.get(batch.stream)
        known = opened is not None and batch.modality in opened.modalities
        self._require(entry, known, "nothing has been said of this stream and modality before it")
        self._require(entry, cargo.number >= 0, "its number cannot be")
        header, n = batch.header, len(batch.payloads)
        fits = header.dtype == np.int64 and header.shape == (n, HEADER_COLUMNS)
        self._require(entry, fits, "it has not one line of times for each packet")
        payloads = all(_is_sound(batch.modality, payload) for payload in batch.payloads)
        self._require(entry, payloads, "its pictures, sound or words are none")
        self._reach(entry, batch)

    def _reach(self, entry: Entry, batch: PacketBatch) -> None:
        """Refuse times that cannot be, and those far beyond what has come so far."""
        header = batch.header
        inner = bool((np.abs(header) <= LATEST_NS).all() and (header[:, DURATION_NS:] >= 0).all())
        self._require(entry, inner and 0 <= batch.progress_ns <= LATEST_NS, "its times cannot be")
        ends = header[:, T_NS] + header[:, DURATION_NS]
        latest_ns = max(int(ends.max(initial=0)), batch.progress_ns)
        reached_ns = self._reached_ns[batch.stream]
        fits = latest_ns <= reached_ns + LEAP_NS
        self._require(entry, fits, "its packets leap ahead by more than an hour")
        self._reached_ns[batch.stream] = max(latest_ns, reached_ns)

    def _require(self, entry: Entry, holds: bool, otherwise: str) -> None:
        if not holds:
            raise SourceError(
                f"the recording's entry {entry.topic} at {entry.now_ns} ns: {otherwise}; the file "
                "is damaged"
            )


def _is_sound(modality: Modality, payload: Payload) -> bool:
    """Whether a payload is of its modality, with arrays as they must be."""
    if not isinstance(payload, PAYLOADS[modality]):
        return False
    if isinstance(payload, AudioChunk):
        samples = payload.samples
        shape = samples.dtype == np.float32 and samples.ndim == 2 and samples.shape[1] > 0
        rate = payload.sample_rate_hz == AUDIO_RATE_HZ
        return bool(shape and rate and np.isfinite(samples).all())
    crops = payload.faces if isinstance(payload, FaceObservation) else ()
    return all(
        crop.pixels.dtype == np.uint8
        and crop.pixels.ndim == 3
        and crop.pixels.shape[2] == 3
        and crop.pixels.size > 0
        for crop in crops
    )
