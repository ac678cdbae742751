"""A live source that is waited for: opened in its own time, and again until it can be.

For a stream that was read before by a process that is lost: its camera or server may be away at
just that moment, and one that hangs must not hold up the others. Invariant: that it could not be
opened is news once for each modality, and so is its first packet after that; while it is awaited
nothing waits for it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait

from streaming.clock import NS_PER_MS, NS_PER_S, Clock
from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.sources.backoff import next_delay_s
from streaming.sources.base import Item, Source

STEP_NS = 200 * NS_PER_MS  # between two promises
BEHIND_NS = 500 * NS_PER_MS  # of the promises, for what comes with the opening


class AwaitedSource:
    """What `open_source` opens, which gives `modalities` as far as is known."""

    live = True

    def __init__(
        self,
        open_source: Callable[[], Source],
        modalities: tuple[Modality, ...],
        *,
        stream: str,
        clock: Clock,
    ) -> None:
        self.modalities = modalities
        self.ordered = False  # as the source, once there is one; before, only promises count
        self._open, self._stream, self._clock = open_source, stream, clock
        self._stop = threading.Event()
        self._source: Source | None = None
        self._last_ns = 0

    def items(self) -> Iterator[Item]:
        """What the source gives once it is open, until it ends or `close` is called."""
        self._last_ns = self._clock.now_ns()
        lost = False
        for failures in itertools.count(1):
            try:
                self._source = yield from self._opened()
                break
            except SourceError as error:
                if not lost:
                    yield from self._lost(f"{error}; it will be tried again")
                lost = True
            yield from self._wait(failures)
            if self._stop.is_set():
                break
        yield from self._given(lost)

    def close(self) -> None:
        """End the waiting, or the source."""
        self._stop.set()
        if self._source is not None:
            self._source.close()

    def _opened(self) -> Generator[Item, None, Source | None]:
        """The source; None when it is closed first. A thread opens it: that may take seconds."""
        found: Future[Source] = Future()

        def open_it() -> None:
            try:
                found.set_result(self._open())
            except BaseException as error:  # it is raised where the result is taken
                found.set_exception(error)

        threading.Thread(target=open_it, daemon=True, name="open").start()
        while not wait([found], STEP_NS / NS_PER_S).done:
            if self._stop.is_set():
                found.add_done_callback(_let_go)
                return None
            yield from self._promised()
        source = found.result()
        self.ordered = source.ordered
        return source

    def _wait(self, failures: int) -> Iterator[Item]:
        until_ns = self._clock.now_ns() + round(next_delay_s(failures) * NS_PER_S)
        while not self._stop.is_set() and (now_ns := self._clock.now_ns()) < until_ns:
            yield from self._promised()
            self._clock.wait_until(min(now_ns + STEP_NS, until_ns), self._stop)

    def _promised(self) -> Iterator[Item]:
        for modality in self.modalities:
            t_ns = self._last_ns = max(self._clock.now_ns() - BEHIND_NS, self._last_ns)
            yield Progress(stream=self._stream, modality=modality, t_ns=t_ns)

    def _given(self, lost: bool) -> Iterator[Item]:
        """All of the source, if it was opened, and the ends that it does not give."""
        source = self._source
        if source is not None and self._stop.is_set():  # closed while it was opened
            source.close()
        missing = set(self.modalities) if lost else set()
        ended: set[Modality] = set()
        for item in source.items() if source is not None else ():
            if item.modality is not None and item.modality not in self.modalities:
                continue  # not there when the stream began
            if isinstance(item, Packet) and item.modality in missing:
                missing.discard(item.modality)
                yield self._health(HealthKind.RECOVERED, item.modality, f"{item.modality} is back")
            if isinstance(item, Progress) and item.ended:
                ended.add(item.modality)
            self._last_ns = max(self._last_ns, item.t_ns)
            yield item
        for modality in self.modalities:
            if modality not in ended:
                yield Progress(
                    stream=self._stream, modality=modality, t_ns=self._last_ns, ended=True
                )

    def _lost(self, detail: str) -> list[Item]:
        return [self._health(HealthKind.SOURCE_LOST, m, detail) for m in self.modalities]

    def _health(self, kind: HealthKind, modality: Modality, detail: str) -> Health:
        now_ns = self._clock.now_ns()
        return Health(stream=self._stream, kind=kind, modality=modality, t_ns=now_ns, detail=detail)


def _let_go(opened: Future[Source]) -> None:
    """Close what was opened too late."""
    if opened.exception() is None:
        opened.result().close()
