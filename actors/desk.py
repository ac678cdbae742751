"""The control desk: what is asked of a running pipeline, done step by step.

A command that has to wait for others (a camera that opens, a window on its way) is a generator:
`step` moves all of them on and never waits. Invariant: every request gets one reply, and one that
is refused has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from actors.messages import Assigned
from actors.roster import Entry, Roster, reader_node
from streaming.clock import NS_PER_S, Clock
from streaming.control import (
    AddRequest,
    Done,
    ListRequest,
    PauseRequest,
    Refused,
    RemoveRequest,
    Reply,
    Request,
    ResumeRequest,
    State,
)
from streaming.errors import AttuneError, UsageError
from streaming.health import HealthKind
from streaming.settings import StreamSettings
from streaming.source_settings import TextSettings

PATIENCE_NS = 15 * NS_PER_S  # for what was read to reach the subscribers
Steps = Generator[None, None, None]
Tell = Callable[[str, HealthKind, str], None]


class Opening(Protocol):
    """Sources that are being opened."""

    def complaint(self) -> tuple[bool, str | None]:
        """Whether it is done, and what went wrong."""


class Reader(Protocol):
    """What the desk asks of a part that reads streams."""

    name: str

    def open(self, assigned: Assigned) -> Opening:
        """Begin to open the sources of a stream."""

    def start_one(self, name: str) -> None:
        """Read a stream that is open."""

    def stop_one(self, name: str) -> None:
        """End a stream in good order."""


class Desk:
    """Does what is asked. `readers`: those who are at work now; `tell` publishes what was done;
    `admit` says why one more stream is too much, or None."""

    def __init__(
        self,
        roster: Roster,
        readers: Callable[[], Sequence[Reader]],
        tell: Tell,
        clock: Clock,
        admit: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._roster, self._readers, self._tell = roster, readers, tell
        self._clock, self._admit = clock, admit
        self._under_way: list[tuple[Request, Steps, Callable[[Reply], None]]] = []
        self._names: set[str] = set()

    def take(self, request: Request, reply: Callable[[Reply], None]) -> None:
        """Begin with a request; `reply` is called once, now or later."""
        self._under_way.append((request, self._steps(request), reply))
        self.step()

    def step(self) -> None:
        """Go on with everything that is under way."""
        under_way, self._under_way = self._under_way, []
        for request, steps, reply in under_way:
            try:
                next(steps)
            except StopIteration:
                reply(Done(streams=self._roster.states(), id=request.id))
            except AttuneError as error:
                reply(Refused(reason=str(error), id=request.id))
            else:
                self._under_way.append((request, steps, reply))

    def close(self) -> None:
        """Refuse what is not done."""
        for request, steps, reply in self._under_way:
            steps.close()
            reply(Refused(reason="the pipeline is ending", id=request.id))
        self._under_way = []

    def _steps(self, request: Request) -> Steps:
        match request:
            case ListRequest():
                return
            case AddRequest():
                yield from self._alone(request.stream.name, self._add(request))
            case PauseRequest(stream=name):
                yield from self._alone(name, self._pause(name))
            case ResumeRequest(stream=name):
                yield from self._alone(name, self._resume(name))
            case RemoveRequest(stream=name):
                yield from self._alone(name, self._remove(name))

    def _alone(self, name: str, steps: Steps) -> Steps:
        """One command at a time for one stream."""
        if name in self._names:
            raise UsageError(f"stream {name!r}: another command is under way; ask again")
        self._names.add(name)
        try:
            yield from steps
        finally:
            self._names.discard(name)

    def _add(self, request: AddRequest) -> Steps:
        stream = request.stream
        _refuse_stdin(stream)
        before = self._roster.entries.get(stream.name)
        if before is not None and self._roster.state(stream.name) is not State.ENDED:
            state = self._roster.state(stream.name)
            raise UsageError(f"stream {stream.name!r} is {state} already; remove it first")
        self._require_room(force=request.force)
        segment = 0 if before is None else before.segment + 1
        reader = self._idlest(stream)
        entry = Entry(stream, reader.name, State.OPENING, segment, anew=before is not None)
        yield from self._open(entry, before, reader)
        self._begin(reader, stream.name, HealthKind.STREAM_ADDED)

    def _resume(self, name: str) -> Steps:
        before = self._known(name, State.PAUSED)
        reader = self._idlest(before.settings)
        entry = Entry(before.settings, reader.name, State.OPENING, before.segment + 1)
        yield from self._open(entry, before, reader)
        self._begin(reader, name, HealthKind.RESUMED)

    def _open(self, entry: Entry, before: Entry | None, reader: Reader) -> Steps:
        """Open the sources of `entry`, or leave all as it was."""
        name = entry.settings.name
        self._roster.entries[name] = entry
        done, complaint = False, None
        try:
            opening = reader.open(self._roster.assigned(name))
            while not done:
                yield
                done, complaint = opening.complaint()
        finally:
            if not done or complaint:
                self._put_back(name, before)
        if complaint:
            raise UsageError(complaint)

    def _put_back(self, name: str, before: Entry | None) -> None:
        if before is None:
            del self._roster.entries[name]
        else:
            self._roster.entries[name] = before

    def _begin(self, reader: Reader, name: str, kind: HealthKind) -> None:
        self._tell(name, kind, "")
        self._roster.entries[name].state = State.RUNNING
        reader.start_one(name)

    def _pause(self, name: str) -> Steps:
        entry = self._known(name, State.RUNNING)
        self._tell(name, HealthKind.PAUSED, "its sources are closed until it is resumed")
        yield from self._end(entry, State.PAUSED)

    def _remove(self, name: str) -> Steps:
        entry = self._known(name, State.RUNNING, State.PAUSED)
        self._tell(name, HealthKind.STREAM_REMOVED, "")
        yield from self._end(entry, State.ENDED)

    def _end(self, entry: Entry, state: State) -> Steps:
        """Have a stream ended, and wait until its subscribers have been told."""
        name = entry.settings.name
        entry.state = state
        for reader in self._readers():
            if reader.name == entry.reader:
                reader.stop_one(name)
        until_ns = self._clock.now_ns() + PATIENCE_NS
        while not self._roster.over(name) and self._clock.now_ns() < until_ns:
            yield

    def _known(self, name: str, *expected: State) -> Entry:
        entries = self._roster.entries
        if name not in entries:
            known = ", ".join(entries) or "none"
            raise UsageError(f"there is no stream {name!r}; there are: {known}")
        state = self._roster.state(name)
        if state not in expected:
            raise UsageError(
                f"stream {name!r} is {state}; expected one that is {' or '.join(expected)}"
            )
        return entries[name]

    def _idlest(self, stream: StreamSettings) -> Reader:
        """The reader with the fewest streams, on the node that the stream names."""
        readers = [r for r in self._readers() if reader_node(r.name) == stream.node]
        if not readers and stream.node:
            raise UsageError(
                f"stream {stream.name!r}: no reader is at work on node {stream.node!r}; expected a "
                "node that a stream of the configuration named, and that answers now"
            )
        if not readers:
            raise UsageError("no reader is at work at this moment; ask again")
        return min(readers, key=lambda r: len(self._roster.unended(r.name)))

    def _require_room(self, *, force: bool) -> None:
        why = None if force else self._admit()
        if why is not None:
            raise UsageError(why)


def _refuse_stdin(stream: StreamSettings) -> None:
    if any(isinstance(s, TextSettings) and s.path == "-" for s in stream.sources):
        raise UsageError(
            f"stream {stream.name!r}: standard input belongs to whoever started the run"
        )
