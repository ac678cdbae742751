"""What windows that were given up leave to the next window of their stream.

Pure. Invariants: sound and words are carried whole while they are within their limit, then the
oldest sound goes, then the oldest words; the tracks of loudness and faces stay without a hole;
everything left out is counted.
"""

from __future__ import annotations

import msgspec

from actors.messages import HopData, StreamEnded, TextSpan, WindowReady
from streaming.health import Health, HealthKind
from streaming.packets import Modality
from streaming.results import FaceCount, LoudnessTrack
from streaming.windows import Status


class Carry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of `windows` settled ones and `previews` provisional ones in a row, and what of their
    `pictures` (face crops), `samples` of sound and `texts` no window will show. `words`: of hops
    whose sound is gone."""

    windows: int = 0
    previews: int = 0
    pictures: int = 0
    samples: int = 0
    texts: int = 0
    hops: tuple[HopData, ...] = ()
    words: tuple[TextSpan, ...] = ()
    loudness: LoudnessTrack = LoudnessTrack()
    faces: tuple[FaceCount, ...] = ()
    health: tuple[Health, ...] = ()

    def after(self, window: WindowReady, most_bytes: int) -> Carry:
        """The same when `window` was given up, too."""
        health = (*self.health, *window.health)
        if window.status is Status.PROVISIONAL:  # its hops come again
            return msgspec.structs.replace(self, previews=self.previews + 1, health=health)
        blind = tuple(_without_faces(hop) for hop in window.hops)
        whole = msgspec.structs.replace(
            self,
            windows=self.windows + 1,
            pictures=self.pictures + sum(len(hop.faces) for hop in window.hops),
            hops=(*self.hops, *blind),
            loudness=joined(self.loudness, window.loudness),
            faces=(*self.faces, *window.faces),
            health=health,
        )
        return whole.within(most_bytes)

    def within(self, most_bytes: int, most_hops: float = float("inf")) -> Carry:
        """Less the oldest sound, and then the oldest words, over `most_bytes`; and less the sound
        of hops over `most_hops`."""
        hops, words, samples = list(self.hops), list(self.words), self.samples
        size = sum(map(_size, hops)) + sum(map(_length, words))
        while hops and (size > most_bytes or len(hops) > max(most_hops, 0)):
            gone = hops.pop(0)
            size -= gone.audio.nbytes
            samples += _real(gone)
            words += gone.texts
        texts = self.texts + len(words)
        while words and size > most_bytes:
            size -= _length(words.pop(0))
        return msgspec.structs.replace(
            self,
            hops=tuple(hops),
            words=tuple(words),
            samples=samples,
            texts=texts - len(words),
        )

    def into(self, window: WindowReady) -> WindowReady:
        """`window` with all that it has to make up for; its own hops are whole."""
        if not self.windows and not self.previews:
            return window
        first, *rest = *self.hops, *window.hops
        hops = (msgspec.structs.replace(first, texts=(*self.words, *first.texts)), *rest)
        if window.status is Status.PROVISIONAL:
            return msgspec.structs.replace(window, hops=hops)
        return msgspec.structs.replace(
            window,
            hops=hops,
            loudness=joined(self.loudness, window.loudness),
            faces=(*self.faces, *window.faces),
            health=(*self.health, *self._told(window.stream, window.start_ns), *window.health),
            skipped=self.windows,
        )

    def into_end(self, ended: StreamEnded) -> StreamEnded:
        """`ended` with what no window makes up for any more."""
        if not self.windows and not self.previews:
            return ended
        lost = msgspec.structs.replace(
            self,
            samples=self.samples + sum(map(_real, self.hops)),
            texts=self.texts + len(self.words) + sum(len(hop.texts) for hop in self.hops),
        )
        told = lost._told(ended.stream, ended.end_ns)
        return msgspec.structs.replace(
            ended, health=(*self.health, *told, *ended.health), skipped=self.windows
        )

    def _told(self, stream: str, t_ns: int) -> list[Health]:
        lines = (
            (None, self.windows + self.previews, "windows given up, too old to be of use"),
            (Modality.VIDEO, self.pictures, "face crops of windows given up"),
            (Modality.AUDIO, self.samples, "samples over what is carried to the next window"),
            (Modality.TEXT, self.texts, "texts over what is carried to the next window"),
        )
        return [
            Health(
                stream=stream,
                kind=HealthKind.OVERLOAD,
                t_ns=max(t_ns, 0),
                modality=modality,
                count=count,
                detail=f"the model is behind: {detail}",
            )
            for modality, count, detail in lines
            if count
        ]


def joined(older: LoudnessTrack, newer: LoudnessTrack) -> LoudnessTrack:
    """Both as one track; None for frames between them."""
    if not older.dbfs:
        return newer
    between = round((newer.start_ns - older.start_ns) / older.step_ns) - len(older.dbfs)
    gap = (None,) * max(between if newer.dbfs else 0, 0)
    return msgspec.structs.replace(older, dbfs=(*older.dbfs, *gap, *newer.dbfs))


def _without_faces(hop: HopData) -> HopData:
    return msgspec.structs.replace(hop, faces=hop.faces[:0])


def _size(hop: HopData) -> int:
    return hop.audio.nbytes + sum(map(_length, hop.texts))


def _length(text: TextSpan) -> int:
    return len(text.text.encode())


def _real(hop: HopData) -> int:
    return round(len(hop.audio) * hop.audio_coverage)
