"""The windows that wait for the model, and what is given up when they are too many.

A window of a paced stream that cannot leave in time is not scored. What it brought goes into the
next window of its stream: sound and words, up to `most_bytes` of them and as far as the model can
read the sound in time; pictures not, for the next window has fresher ones. Invariants: nothing
leaves later than its time by more than the model is slower than it was; every index that comes in
leaves in a window, or is counted by the one that follows, or at the stream's end; the stream that
has waited longest is served first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

import msgspec

from actors.carried import Carry
from actors.messages import Cargo, StreamEnded, WindowReady
from streaming.clock import NS_PER_MS
from streaming.settings import PipelineSettings
from streaming.windows import Status

WAITING, UNHURRIED = 512, 64  # windows that are taken in at most; where none is ever given up
STEP_SHARE = 4  # one step of the model takes at most this part of the age that is allowed
STEPS = 5  # the last ones, whose median says how long the next takes: one stall changes nothing
SLACK = 1.25  # a step may take so much longer than the last ones
BYTES_PER_KB = 1_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`max_age_ns`: how old a window may be when it leaves, counted from its end, or from half of
    that before it was closed if that is later, and from its deadline at the latest; 0: any age.
    `most_bytes`: of sound and words."""

    max_age_ns: int = 0
    most_bytes: int = 0

    @classmethod
    def of(cls, settings: PipelineSettings) -> Limits:
        """As they are set; read as fast as possible, nothing is too old."""
        max_age_ms = settings.max_age_ms if settings.pace == "realtime" else 0
        return cls(
            max_age_ns=round(max_age_ms * NS_PER_MS),
            most_bytes=round(settings.carry_kb * BYTES_PER_KB),
        )


class _Line:
    """What waits of one stream."""

    def __init__(self) -> None:
        self.waiting: deque[WindowReady | StreamEnded] = deque()
        self.carry = Carry()
        self.served = 0


class Backlog:
    """`add` what comes, `next_batch` what is to be scored now, `spent` what that took.

    `since_ns`: windows closed before that are not given up: another stage was lost with them.
    """

    def __init__(self, limits: Limits | None = None, since_ns: int = 0) -> None:
        self._limits = limits or Limits()
        self._since_ns = since_ns
        self._lines: dict[str, _Line] = {}
        self._costs_ns: deque[float] = deque(maxlen=STEPS)
        self._hop_cost_ns = 0.0
        self._measured_ns = 0
        self._turn = 0
        self.waiting = 0

    @property
    def room(self) -> int:
        """How many more windows may come."""
        most = WAITING if self._limits.max_age_ns else UNHURRIED
        return max(most - self.waiting, 0)

    def add(self, cargoes: Iterable[Cargo]) -> None:
        """Take in what waits from now on, in the order of each stream."""
        for cargo in cargoes:
            if not isinstance(cargo, WindowReady | StreamEnded):
                raise TypeError(f"inference takes no {type(cargo).__name__}")
            self._lines.setdefault(cargo.stream, _Line()).waiting.append(cargo)
            self.waiting += 1

    def next_batch(self, now_ns: int) -> tuple[list[StreamEnded], list[WindowReady]]:
        """Streams of which nothing is left, and one window each of others, within one step."""
        if now_ns - self._measured_ns > self._limits.max_age_ns:
            self._costs_ns.clear()  # it may be faster again: it is tried
            self._hop_cost_ns = 0.0
        for line in self._lines.values():
            self._give_up(line, now_ns)
        ended = []
        for line in list(self._lines.values()):
            while _is_over(line):
                ended.append(self._end(line))
        return ended, self._chosen(now_ns)

    def _chosen(self, now_ns: int) -> list[WindowReady]:
        """One window of each stream, those that waited longest first, as many as leave in time
        together; with each what is carried to it, as far as there is time for it."""
        chosen: list[WindowReady] = []
        hops, most_hops = 0, float("inf")
        for line in sorted((s for s in self._lines.values() if s.waiting), key=_served):
            window = line.waiting[0]
            assert isinstance(window, WindowReady)
            most_hops = min(most_hops, self._hops_until_due(window, now_ns))
            room = most_hops - hops - len(window.hops)
            if chosen and room < 0:
                break
            whole = line.carry.within(self._limits.most_bytes, room).into(window)
            hops += len(whole.hops)
            chosen.append(whole)
            self._take(line, window)
        return chosen

    def spent(self, batch: list[WindowReady], span_ns: int, now_ns: int) -> None:
        """Scoring `batch` took `span_ns`, up to now."""
        self._measured_ns = now_ns
        hops = sum(len(window.hops) for window in batch)
        if hops:
            self._costs_ns.append(span_ns / hops)
            self._hop_cost_ns = median(self._costs_ns)

    def _take(self, line: _Line, window: WindowReady) -> None:
        line.waiting.popleft()
        self.waiting -= 1
        self._turn += 1
        line.served = self._turn
        if window.status is not Status.PROVISIONAL:
            line.carry = Carry()

    def _give_up(self, line: _Line, now_ns: int) -> None:
        """Leave out what would be too old, and all but the newest once anything was."""
        while line.waiting and isinstance(first := line.waiting[0], WindowReady):
            follows = len(line.waiting) > 1 and isinstance(line.waiting[1], WindowReady)
            superseded = follows and line.carry.windows > 0
            leaves_ns = now_ns + SLACK * len(first.hops) * self._hop_cost_ns
            if not self._hurries(first) or not (superseded or leaves_ns > self._due_ns(first)):
                return
            line.waiting.popleft()
            self.waiting -= 1
            line.carry = line.carry.after(first, self._limits.most_bytes)

    def _end(self, line: _Line) -> StreamEnded:
        ended = line.waiting.popleft()
        assert isinstance(ended, StreamEnded)
        self.waiting -= 1
        if not line.waiting:
            del self._lines[ended.stream]
        whole, line.carry = line.carry.into_end(ended), Carry()
        return whole

    def _hurries(self, window: WindowReady) -> bool:
        limit = self._limits.max_age_ns
        return window.paced and limit > 0 and window.closed_at_ns >= self._since_ns

    def _due_ns(self, window: WindowReady) -> int:
        limit = self._limits.max_age_ns
        due_ns = window.closed_at_ns + limit // 2
        if window.deadline_ns:  # it may have been closed late, too
            due_ns = min(due_ns, window.deadline_ns + limit)
        return max(window.origin_ns + window.end_ns + limit, due_ns)

    def _hops_until_due(self, window: WindowReady, now_ns: int) -> float:
        """How many hops the model reads until `window` has to leave, or in a step at most."""
        if not self._hurries(window) or not self._hop_cost_ns:
            return float("inf")
        in_time = (self._due_ns(window) - now_ns) / SLACK
        return min(in_time, self._limits.max_age_ns / STEP_SHARE) // self._hop_cost_ns


def _is_over(line: _Line) -> bool:
    return bool(line.waiting) and isinstance(line.waiting[0], StreamEnded)


def _served(line: _Line) -> int:
    return line.served
