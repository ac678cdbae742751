"""Face: somebody is in the picture, from the looks the face tracker took.

Method: the state changes after `face_confirm` looks in a row that say so, and is then dated back
to the first of them. A look speaks for the time half-way to its neighbours, at most 125 ms (half
a look at 4 Hz) to either side, so the dating errs by no more than that. Invariant: a look that was
not taken says nothing; after 2 s without one the event ends as "input lost".
"""

from __future__ import annotations

from collections.abc import Iterator

from streaming.clock import NS_PER_MS
from streaming.events.base import UPDATE_EVERY_NS, Ended, Evidence, Scribe
from streaming.results import Event, FaceCount, Prediction
from streaming.settings import EventSettings

HALF_LOOK_NS = 125 * NS_PER_MS
LOST_AFTER_NS = 2_000 * NS_PER_MS


class Face:
    """`score`: share of the looks that showed a face. `track_id` in the evidence: who led first."""

    def __init__(self, stream: str, settings: EventSettings) -> None:
        self._confirm = settings.face_confirm
        self._scribe = Scribe(stream, "face")
        self._open = False
        self._doubts: list[FaceCount] = []  # looks in a row that contradict the state
        self._last_ns: int | None = None
        self._edge_ns = 0  # where the first doubt's span begins
        self._track_id, self._most, self._with_face, self._looks = -1, 0, 0, 0
        self._reported_ns = 0

    def step(self, prediction: Prediction) -> list[Event]:
        """Take in the new looks."""
        events = [event for look in prediction.faces for event in self._look(look)]
        return [*events, *self._lapse(prediction.result.end_ns)]

    def finish(self, t_ns: int) -> list[Event]:
        """End the presence that is open."""
        return [*self._lapse(t_ns), *self._end(self._known_until_ns(t_ns), Ended.STREAM)]

    def _look(self, look: FaceCount) -> Iterator[Event]:
        if self._last_ns is not None and look.t_ns <= self._last_ns:
            return
        yield from self._lapse(look.t_ns)
        if (look.faces > 0) == self._open:
            self._settle(look)
            yield from self._update(look)
        else:
            yield from self._doubt(look)
        self._last_ns = look.t_ns

    def _settle(self, look: FaceCount) -> None:
        for seen in (*self._doubts, look):
            self._count(seen)
        self._doubts.clear()

    def _doubt(self, look: FaceCount) -> Iterator[Event]:
        if not self._doubts:
            before_ns = look.t_ns if self._last_ns is None else self._last_ns
            self._edge_ns = look.t_ns - min((look.t_ns - before_ns) // 2, HALF_LOOK_NS)
        self._doubts.append(look)
        if len(self._doubts) < self._confirm:
            return
        if self._open:
            yield from self._end(self._edge_ns, Ended.OVER)
        else:
            yield self._start(look)

    def _start(self, look: FaceCount) -> Event:
        self._open, self._reported_ns = True, look.t_ns
        self._track_id = self._doubts[0].track_id
        self._most = self._with_face = self._looks = 0
        for seen in self._doubts:
            self._count(seen)
        self._doubts.clear()
        return self._scribe.start(self._edge_ns, "face", self._score(), self._evidence())

    def _update(self, look: FaceCount) -> Iterator[Event]:
        if self._open and look.t_ns - self._reported_ns >= UPDATE_EVERY_NS:
            self._reported_ns = look.t_ns
            yield self._scribe.update(self._score(), self._evidence())

    def _lapse(self, t_ns: int) -> Iterator[Event]:
        if self._last_ns is not None and t_ns - self._last_ns >= LOST_AFTER_NS:
            yield from self._end(self._known_until_ns(t_ns), Ended.LOST)
            self._last_ns = None

    def _end(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        if self._open:
            self._open = False
            yield self._scribe.end(end_ns, self._score(), self._evidence(), ended_by)
        self._doubts.clear()

    def _known_until_ns(self, t_ns: int) -> int:
        if self._doubts:
            return self._edge_ns
        last_ns = t_ns if self._last_ns is None else self._last_ns
        return min(last_ns + HALF_LOOK_NS, max(t_ns, last_ns))

    def _count(self, look: FaceCount) -> None:
        self._looks += 1
        self._with_face += look.faces > 0
        self._most = max(self._most, look.faces)

    def _score(self) -> float:
        return self._with_face / self._looks

    def _evidence(self) -> Evidence:
        return {"track_id": self._track_id, "most_faces": self._most, "looks": self._looks}
