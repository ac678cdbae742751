"""The Ray actors: each holds one plain stage between two links, and adds nothing to it.

Each process imports its own stage only: torch and Numba take seconds, and most need neither.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from actors.accounts import Carried
from actors.link import LINGER_S, PullLink
from actors.messages import Assigned, Cargo
from actors.node import Node
from actors.pulse import Pulse
from actors.report import StreamTotals, speech_s
from actors.session_clock import assigned_here, sent_on, told
from actors.wires import Wires
from streaming.clock import NS_PER_MS, SystemClock
from streaming.errors import AttuneError
from streaming.mailbox import Mailbox
from streaming.results import Event
from streaming.settings import AttuneSettings

if TYPE_CHECKING:
    from actors.infer import Scorer
    from actors.ingest import Ingest
    from actors.publish import PublishStage
    from streaming.sinks import Sink

TICK_MS = 20
POLL_MS = 100
IN_FLIGHT = 64


class IngestNode(Node):
    """Reads some of the streams. Used as an actor, and in the driver for standard input.

    `stays`: whether more streams may come, so that `run` goes on until `stop`. Streams are dated by
    this host's own clock; what leaves is told by that of the session.
    """

    takes = False

    def __init__(
        self,
        settings: AttuneSettings,
        wires: Wires,
        name: str,
        turn: int,
        streams: Sequence[Assigned],
        stays: bool = False,
    ) -> None:
        super().__init__(settings, wires, name, turn)
        self._streams = streams
        self._stays = stays
        self._mailbox: Mailbox[Cargo] = Mailbox(IN_FLIGHT)
        self._ingest: Ingest | None = None

    def _prepare(self) -> None:
        """Open the sources. A stream that was read before, by a process that is lost, fails
        alone."""
        from actors.ingest import Ingest

        self._ingest = Ingest((), self._settings, SystemClock(), self._mailbox.put)
        for assigned in self._streams:
            if assigned.beginning is not None:
                self._open_again(self._ingest, assigned)
                continue
            try:
                self._ingest.open(assigned)
            except AttuneError:
                self._ingest.close()
                raise

    def open(self, assigned: Assigned) -> tuple[str, int] | None:
        """Open the sources of a stream; None, or what is wrong with them and the exit code."""
        if self._ingest is None or self._stop.is_set():
            return "the pipeline is ending", 1
        try:
            self._ingest.open(self._here(assigned))
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def take_over(self, streams: Sequence[Assigned]) -> None:
        """Read streams that another read, whose node is gone; one that cannot be opened here fails
        alone."""
        if self._ingest is None or self._stop.is_set():
            return
        for assigned in streams:
            self._open_again(self._ingest, assigned)
            self._ingest.start_one(assigned.stream.name)

    def start_one(self, name: str) -> None:
        """Begin to read a stream that was opened while `run` runs."""
        if self._ingest is not None:
            self._ingest.start_one(name)

    def stop_one(self, name: str) -> None:
        """End one stream in good order."""
        if self._ingest is not None:
            self._ingest.stop_one(name)

    def cpu_s(self) -> dict[str, float]:
        """As `Node.cpu_s`, and what the words of its streams cost."""
        return super().cpu_s() | speech_s(self._elsewhere_s())

    def run(self, address: str) -> None:
        """Read until all streams have ended and all that was read has been handed over to the
        aligner at `address`."""
        if self._ingest is None:
            return
        self._ingest.start()
        threading.Thread(target=self._close_when_read, daemon=True).start()
        link, pulse = self._push(address), self._pulse()
        while (cargo := self._mailbox.take(POLL_MS / 1000)) is not None or self._reading():
            pulse.waits(self._mailbox.counts().waiting)
            ahead_ns = self._clock.ahead_ns()
            pulse.beat(beginnings=told(self._ingest.beginnings(), ahead_ns))
            if cargo is None:
                link.attend()
            else:
                link.send(sent_on(cargo, ahead_ns), threading.Event(), pulse.beat)
        link.close(LINGER_S)
        pulse.close()

    def stop(self) -> None:
        """End the streams early and in good order."""
        super().stop()
        if self._ingest is not None:
            self._ingest.stop()

    def _elsewhere_s(self) -> float:
        return 0.0 if self._ingest is None else self._ingest.speech_cpu_s

    def _open_again(self, ingest: Ingest, assigned: Assigned) -> None:
        here = self._here(assigned)
        try:
            ingest.open(here, again=True)
        except AttuneError as error:
            ingest.give_up(here, str(error))

    def _here(self, assigned: Assigned) -> Assigned:
        return assigned_here(assigned, self._clock.ahead_ns())

    def _reading(self) -> bool:
        return not self._mailbox.closed

    def _close_when_read(self) -> None:
        if self._stays:
            self._stop.wait()
        if self._ingest is not None:
            self._ingest.join()
        self._mailbox.close()


class AlignNode(Node):
    """Aligns all streams."""

    def _prepare(self) -> None:
        """Load the kernels, so that the first window is not late."""
        from actors.warmup import warm_aligner

        warm_aligner()

    def run(
        self,
        address: str,
        published: Mapping[str, int] | None = None,
        accounts: Mapping[str, Carried] | None = None,
        ended: Mapping[str, int] | None = None,
    ) -> None:
        """Align until stopped, for the analyser at `address`; go on from where another was."""
        from actors.align import AlignStage

        pull, push, pulse = self._pull, self._push(address), self._pulse()
        stage = AlignStage(
            self._settings.windows, self._clock, published, accounts, ended, self._settings.sync
        )
        ticked_ns = self._clock.now_ns()

        alive = partial(_attend, pulse, pull)
        while not self._stop.is_set():
            arrived = pull.drain(TICK_MS)
            pulse.waits(len(arrived))
            out = [ready for cargo in arrived for ready in stage.handle(cargo)]
            now_ns = self._clock.now_ns()
            if now_ns - ticked_ns >= TICK_MS * NS_PER_MS:
                out, ticked_ns = out + stage.tick(), now_ns
            for cargo in out:
                push.send(cargo, self._stop, alive)
            push.attend()
            if pulse.due:
                pulse.beat(accounts=stage.accounts())
        push.close(LINGER_S)
        pull.close()
        pulse.close()


class InferNode(Node):
    """Scores windows, batched over streams; on a GPU where it was given one."""

    def __init__(
        self, settings: AttuneSettings, wires: Wires, name: str = "", turn: int = 0
    ) -> None:
        super().__init__(settings, wires, name, turn)
        self._analyser: Scorer | None = None

    def _prepare(self) -> None:
        """Load and warm the models."""
        from actors.warmup import load_analyser

        self._analyser = load_analyser(self._settings.model)

    def run(self, address: str, published: Mapping[str, int] | None = None) -> None:
        """Score until stopped, for the publisher at `address`; go on from where another was."""
        from actors.backlog import Limits
        from actors.gpu import gpu_use
        from actors.infer import InferStage

        if self._analyser is None:
            return
        limits = Limits.of(self._settings.pipeline)
        stage = InferStage(self._analyser, self._clock, published, limits)
        pull, push, pulse = self._pull, self._push(address), self._pulse()

        alive = partial(_attend, pulse, pull)
        while not self._stop.is_set():
            stage.take(pull.drain(POLL_MS if stage.idle else 0, stage.room))
            pulse.waits(stage.waiting)
            for scored in stage.step():
                push.send(scored, self._stop, alive)
            push.attend()
            if pulse.due:
                pulse.beat(gpu=gpu_use())
        push.close(LINGER_S)
        pull.close()
        pulse.close()


class PublishNode(Node):
    """Makes events, numbers messages and feeds the sinks."""

    def __init__(
        self,
        settings: AttuneSettings,
        wires: Wires,
        name: str = "",
        turn: int = 0,
        also_publish: tuple[str, ...] = (),
    ) -> None:
        super().__init__(settings, wires, name, turn)
        self._also_publish = also_publish
        self._sinks: list[Sink] = []
        self._stage: PublishStage | None = None

    def _prepare(self) -> None:
        """Open the sinks."""
        from actors.sinks import open_sinks

        self._sinks = open_sinks(self._settings, self._also_publish, again=self._turn > 0)

    def run(
        self,
        published: Mapping[str, int] | None = None,
        ended: Mapping[str, int] | None = None,
        left_open: Sequence[Event] = (),
    ) -> tuple[dict[str, StreamTotals], list[str]]:
        """Publish until `stop`; what came of each stream, what failed."""
        from actors.publish import PublishStage

        pull, pulse = self._pull, self._pulse()
        stage = self._stage = PublishStage(
            self._settings,
            self._sinks,
            self._clock,
            published,
            ended,
            left_open,
            testify=lambda: pulse.beat(now=True, will=stage.will()),
        )
        while not self._stop.is_set():
            some = pull.drain(POLL_MS)
            pulse.waits(len(some))
            for cargo in some:
                stage.handle(cargo)
            stage.tick()
            if some or pulse.due:
                will = stage.will()
                pulse.beat(now=True, published=stage.published, ended=stage.ended, will=will)
        pull.close()
        pulse.close()
        stage.close()
        return stage.totals, stage.failures


def _attend(pulse: Pulse, pull: PullLink) -> None:
    """What does not wait for a link that is full: to be alive, and to answer those before."""
    pulse.beat()
    pull.answer()
