"""One unbroken time line out of a container's timestamps.

Transport streams and joined recordings restart or leap in time. Invariant: a track's times
never run backwards by more than a re-ordered frame, never leap over hours of emptiness, and
two tracks that leap together are moved by the same amount, so they stay in step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streaming.clock import NS_PER_MS, NS_PER_S

MAX_BACK_NS = 200 * NS_PER_MS  # further back is another clock, not a re-ordered frame
MAX_AHEAD_NS = 10 * NS_PER_S
MAX_RESYNC_NS = 1 * NS_PER_S  # how far back a track may go to stay in step with the other


class Placed(NamedTuple):
    """Where a frame belongs on the stream's time line; `leapt_ns`: by how much its track's own
    times have just leapt, 0 for not at all."""

    t_ns: int
    uncertainty_ns: int
    leapt_ns: int


class TimeLine(Protocol):
    """What places the frames of several tracks. `zero_ns`: container time that is 0, if known."""

    zero_ns: int | None

    def place(self, track: str, raw_ns: int, duration_ns: int) -> Placed:
        """Time of a frame that the container dates `raw_ns`."""
        ...


@dataclass
class _TrackTime:
    epoch: int = 0
    end_ns: int = 0
    seen: bool = False


@dataclass
class Stitcher:
    """Places raw container times of several tracks on the stream's time line.

    Each leap opens an epoch with an offset of its own; a track goes over to a newer epoch when
    its old one gives an impossible time, and to one that another track has opened if that fits.
    """

    zero_ns: int | None = None  # container time that is 0; None: the first time placed
    _offsets: list[int] = field(default_factory=list)
    _tracks: dict[str, _TrackTime] = field(default_factory=dict)

    def place(self, track: str, raw_ns: int, duration_ns: int) -> Placed:
        """Stream time of `raw_ns`."""
        if not self._offsets:
            self._offsets.append(-raw_ns if self.zero_ns is None else -self.zero_ns)
        state = self._tracks.setdefault(track, _TrackTime())
        before = self._offsets[state.epoch]
        if not self._fits(state, raw_ns + before, MAX_BACK_NS):
            state.epoch = self._epoch_for(state, raw_ns)
        offset = self._offsets[state.epoch]
        t_ns = raw_ns + offset
        state.end_ns = max(state.end_ns, t_ns + duration_ns)
        state.seen = True
        return Placed(t_ns, 0, before - offset)

    def follow(self, raw_ns: int) -> int:
        """Stream time of `raw_ns`, for what is too sparse to tell a leap: by the newest offset."""
        return raw_ns + (self._offsets[-1] if self._offsets else -(self.zero_ns or 0))

    def _fits(self, state: _TrackTime, t_ns: int, back_ns: int) -> bool:
        latest_ns = max(s.end_ns for s in self._tracks.values())
        return state.end_ns - back_ns <= t_ns <= latest_ns + MAX_AHEAD_NS

    def _epoch_for(self, state: _TrackTime, raw_ns: int) -> int:
        for epoch in range(len(self._offsets) - 1, state.epoch, -1):
            if self._fits(state, raw_ns + self._offsets[epoch], MAX_RESYNC_NS):
                return epoch
        self._offsets.append(max(s.end_ns for s in self._tracks.values()) - raw_ns)
        return len(self._offsets) - 1
