"""Pictures of one stream are looked at, as far as there is time."""

from __future__ import annotations

from collections.abc import Sequence

from actors.behind import Behind
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet
from streaming.settings import VisionSettings
from streaming.sources.base import Source, Sparing
from streaming.sources.faces import FaceReducer


class Looks:
    """Makes faces of pictures, and asks `sources` to do with less while reading is late.

    Called from the stream's own threads; `behind` is that of all readers of the process.
    """

    def __init__(
        self, stream: str, sources: Sequence[Source], vision: VisionSettings, behind: Behind
    ) -> None:
        self._stream, self._behind = stream, behind
        self._sparing = [source for source in sources if isinstance(source, Sparing)]
        self._reducer = FaceReducer(vision)
        self._spares = False
        self._passed_over = 0

    def keep_up(self, late_ns: int, now_ns: int) -> None:
        """What came last was so late."""
        self._behind.note(self._stream, late_ns, now_ns)
        self.spare(self._behind.must_spare(self._stream, spares=self._spares))

    def spare(self, wanted: bool) -> None:
        """Have sources do with less, or no more."""
        if wanted != self._spares:
            self._spares = wanted
            for source in self._sparing:
                source.spare(wanted)

    def at(self, picture: Packet) -> Packet | None:
        """The faces in a picture; None for one that is passed over."""
        if not self._behind.may_look(self._stream):
            self._passed_over += 1
            return None
        return self._reducer.observe(picture)

    def passed_over(self, t_ns: int) -> Health | None:
        """How many were passed over since this was asked."""
        count, self._passed_over = self._passed_over, 0
        if not count:
            return None
        return Health(
            stream=self._stream,
            kind=HealthKind.OVERLOAD,
            t_ns=t_ns,
            modality=Modality.VIDEO,
            count=count,
            detail="reading is behind: pictures passed over to stay in real time",
        )

    def end(self) -> None:
        """Nothing more comes of the stream."""
        self._behind.forget(self._stream)
