"""The machines that judge rules: one for each way in which frames follow one another.

Frames of a track (speech, loudness) lie end to end and are dated exactly; looks are instants; hops
are what is new in a result. Invariants: between two calls a rule has at most one event open; what
is unknown begins none. Each looks at the frames' own times only, so it does not matter how a track
was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.events.base import TRACK_LAG_NS, UPDATE_EVERY_NS, Ended, Scribe
from streaming.events.expressions import Values
from streaming.events.rules import Rule
from streaming.events.tally import Tally
from streaming.results import Event

HALF_LOOK_NS = 125 * NS_PER_MS


class _Tracker:
    """What they share: writing the event down, of which `_tally` knows what speaks for it."""

    def __init__(self, stream: str, rule: Rule) -> None:
        self._rule = rule
        self.name = rule.settings.name
        self._scribe = Scribe(stream, self.name)
        self._tally: Tally = rule.tally()
        self.open = False
        self._start_ns = self._reported_ns = self._free_from_ns = 0

    def _begin(self, at: Sequence[Values], now_ns: int) -> Event:
        self.open, self._reported_ns = True, now_ns
        self._tally.look(at)
        label = self._tally.label or self._rule.label_of(at)
        return self._scribe.start(self._start_ns, label, self._score(now_ns), self._tally.evidence)

    def _update(self, now_ns: int) -> Iterator[Event]:
        if now_ns - self._reported_ns >= UPDATE_EVERY_NS:
            self._reported_ns = now_ns
            yield self._scribe.update(self._score(now_ns), self._tally.evidence)

    def _end(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        if self.open:
            self.open = False
            end_ns = max(end_ns, self._start_ns)
            self._free_from_ns = end_ns + self._rule.cooldown_ns
            score, evidence = self._score(end_ns), self._tally.evidence
            yield self._scribe.end(end_ns, score, evidence, ended_by)

    def _score(self, now_ns: int) -> float:
        """What was asked for; without it how long the event has lasted, in seconds."""
        score = self._tally.score
        return (now_ns - self._start_ns) / NS_PER_S if score is None else score


class TrackTracker(_Tracker):
    """A run of frames: begins with the first for which `when` holds, is told of once it has lasted
    `for_s`, goes on while `until` does not hold and over pauses shorter than `hang_s`, and ends
    where the last such frame ended."""

    def __init__(self, stream: str, rule: Rule) -> None:
        super().__init__(stream, rule)
        self._end_ns: int | None = None  # of the run, if there is one

    def feed(self, start_ns: int, end_ns: int, at: Sequence[Values]) -> Iterator[Event]:
        """Judge the frame `[start_ns, end_ns)`; `at` is empty where its input was gone."""
        on = bool(at) and self._rule.when.across(at) is True
        if self._end_ns is not None:
            hole_ns = start_ns - self._end_ns
            if at:
                self._tally.look(at)
            if not at or 0 < hole_ns >= self._rule.hang_ns:
                yield from self._close(Ended.LOST)
            elif not on and self._rule.over(at) is not False:
                if end_ns - self._end_ns >= self._rule.hang_ns:
                    yield from self._close(Ended.OVER)
                return
        if on and self._end_ns is None:
            self._start_ns, self._tally = max(start_ns, self._free_from_ns), self._rule.tally()
        elif self._end_ns is None:
            return
        self._end_ns = end_ns
        self._tally.add(at)
        if self.open:
            yield from self._update(end_ns)
        elif end_ns - self._start_ns >= self._rule.for_ns:
            yield self._begin(at, end_ns)

    def lapse(self, t_ns: int) -> Iterator[Event]:
        """All frames up to about `t_ns` were fed: end a run whose input has stopped coming."""
        if self._end_ns is not None and t_ns - self._end_ns >= self._rule.hang_ns + TRACK_LAG_NS:
            yield from self._close(Ended.LOST)

    def finish(self, t_ns: int) -> Iterator[Event]:
        """The stream has ended."""
        yield from self.lapse(t_ns)
        yield from self._close(Ended.STREAM)

    def _close(self, ended_by: str) -> Iterator[Event]:
        end_ns, self._end_ns = self._end_ns, None
        if end_ns is not None:
            yield from self._end(end_ns, ended_by)


class LookTracker(_Tracker):
    """Instants: the state changes after `confirm` looks in a row that say so, and is dated back to
    the first of them. A look speaks for the time half-way to its neighbours, at most 125 ms to
    either side; after `lost_after_s` without one the event ends. Looks that turn out to have been a
    blink count for what they were. None is kept, however many `confirm` asks for."""

    def __init__(self, stream: str, rule: Rule) -> None:
        super().__init__(stream, rule)
        self._doubts = 0  # looks in a row that contradict the state
        self._doubtful = self._tally  # with them in it; the same where there are none
        self._last_ns: int | None = None
        self._edge_ns = 0  # where the first doubt's span begins

    def look(self, t_ns: int, at: Sequence[Values]) -> Iterator[Event]:
        """Judge the look at `t_ns`."""
        if self._last_ns is not None and t_ns <= self._last_ns:
            return
        yield from self.lapse(t_ns)
        judge = self._rule.over if self.open else self._rule.when.across
        if judge(at) is True and (self.open or t_ns >= self._free_from_ns):
            yield from self._doubt(t_ns, at)
        else:
            self._settle(at)
            if self.open:
                yield from self._update(t_ns)
        self._last_ns = t_ns

    def lapse(self, t_ns: int) -> Iterator[Event]:
        """There was no other look up to `t_ns`."""
        if self._last_ns is not None and t_ns - self._last_ns >= self._rule.lost_ns:
            yield from self._close(self._known_until_ns(t_ns), Ended.LOST)
            self._last_ns = None

    def finish(self, t_ns: int) -> Iterator[Event]:
        """The stream has ended."""
        yield from self.lapse(t_ns)
        yield from self._close(self._known_until_ns(t_ns), Ended.STREAM)

    def _settle(self, at: Sequence[Values]) -> None:
        if self.open:
            self._tally = self._doubtful
            self._tally.add(at)
        self._doubts = 0

    def _doubt(self, t_ns: int, at: Sequence[Values]) -> Iterator[Event]:
        if not self._doubts:
            before_ns = t_ns if self._last_ns is None else self._last_ns
            self._edge_ns = t_ns - min((t_ns - before_ns) // 2, HALF_LOOK_NS)
            self._doubtful = self._tally.copy() if self.open else self._rule.tally()
        self._doubts += 1
        self._doubtful.add(at)
        if self._doubts < self._rule.confirm:
            return
        if self.open:
            yield from self._close(self._edge_ns, Ended.OVER)
        else:
            self._start_ns, self._tally, self._doubts = self._edge_ns, self._doubtful, 0
            yield self._begin(at, t_ns)

    def _close(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        yield from self._end(end_ns, ended_by)
        self._doubts = 0

    def _known_until_ns(self, t_ns: int) -> int:
        if self._doubts:
            return self._edge_ns
        last_ns = t_ns if self._last_ns is None else self._last_ns
        return min(last_ns + HALF_LOOK_NS, max(t_ns, last_ns))


class HopTracker(_Tracker):
    """Hops of one stream, or of all: an event begins where `when` began to hold, once it has held
    for `for_s` and `confirm` hops without a break, and ends where `until` began to hold for
    `confirm` hops. What is unknown for `lost_after_s` ends it where it was last known; where that
    is 0, what is unknown speaks against it. With `labels` it is also over when its own no longer
    holds, and another may begin in the same hop."""

    def __init__(self, stream: str, rule: Rule) -> None:
        super().__init__(stream, rule)
        self._label = ""
        self._count = 0  # hops in a row that contradict the state
        self._edge_ns = 0  # where the first of them began
        self._known_ns = 0

    def hop(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        """Judge the hop `[start_ns, end_ns)`, in which `streams` had these values."""
        if self.open:
            yield from self._follow(streams, start_ns, end_ns)
            if self.open or not self._rule.labels:
                return
        yield from self._await(streams, start_ns, end_ns)

    def finish(self, t_ns: int) -> Iterator[Event]:
        """The stream has ended."""
        end_ns = self._edge_ns if self._count else self._known_ns
        yield from self._end(min(t_ns, end_ns), Ended.STREAM)

    def _await(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        if self._rule.when.across(streams) is not True:
            self._count = 0
            return
        if not self._count:
            self._edge_ns, self._tally = start_ns, self._rule.tally()
        self._count += 1
        self._tally.add(streams)
        since_ns = max(self._edge_ns, self._free_from_ns)
        long_enough = end_ns > since_ns and end_ns - since_ns >= self._rule.for_ns
        if long_enough and self._count >= self._rule.confirm:
            self._start_ns, self._known_ns, self._count = since_ns, end_ns, 0
            self._label = self._rule.label_of(streams)
            yield self._begin(streams, end_ns)

    def _follow(self, streams: Sequence[Values], start_ns: int, end_ns: int) -> Iterator[Event]:
        patience_ns = self._rule.lost_ns
        if patience_ns and start_ns > self._known_ns and end_ns - self._known_ns >= patience_ns:
            yield from self._leave(self._known_ns, Ended.LOST)
            return
        self._tally.look(streams)
        over = self._is_over(streams)
        if over is None and patience_ns:
            return
        if over is False:
            self._known_ns, self._count = end_ns, 0
            self._tally.add(streams)
            yield from self._update(end_ns)
            return
        self._edge_ns = self._edge_ns if self._count else start_ns
        self._count += 1
        if self._count >= self._rule.confirm:
            yield from self._leave(self._edge_ns, Ended.LOST if over is None else Ended.OVER)

    def _is_over(self, streams: Sequence[Values]) -> bool | None:
        over = self._rule.over(streams)
        held = self._rule.labels.get(self._label)
        if over is False and held is not None and held.across(streams) is False:
            return True
        return None if over is None else bool(over)

    def _leave(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        yield from self._end(end_ns, ended_by)
        self._count = 0
