"""The Ray actors: each holds one plain stage between two links, and adds nothing to it.

Every actor answers `ready` once it can work at full speed, `run` until its work is over, and
`stop`; while it runs it gives signs of life. `hold` and `resend` go to the link behind it, when the
actor there was lost. Failures that a user can mend come back as text; anything else raises
through Ray.
Each process imports its own stage only: torch and Numba take seconds, and most need neither.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actors.accounts import Carried
from actors.link import PullLink, PushLink
from actors.messages import Assigned, Cargo
from actors.pulse import Pulse
from actors.records import RecordKeeper, listen
from actors.report import StreamTotals, cpu_seconds, speech_s
from streaming.clock import NS_PER_MS, SystemClock
from streaming.errors import AttuneError
from streaming.mailbox import Mailbox
from streaming.settings import AttuneSettings

if TYPE_CHECKING:
    from actors.infer import Scorer
    from actors.ingest import Ingest
    from actors.publish import PublishStage
    from streaming.sinks import Sink

DRIVER = "driver"  # the process that supervises, as a reader of standard input
TICK_MS = 20
POLL_MS = 100
IN_FLIGHT = 64
HOLD_S = 2.0


class Node:
    """What all actors share: settings, a clock, a way to be stopped, and signs of life.

    `name`, `turn`: who this is, and how many had its place before. `pulse_address`: where the
    supervisor listens.
    """

    def __init__(
        self, settings: AttuneSettings, name: str = "", turn: int = 0, pulse_address: str = ""
    ) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._stop = threading.Event()
        self._identity = (pulse_address, name, turn)
        self._link: PushLink | None = None
        self._keeper: RecordKeeper | None = None
        if name != DRIVER:  # a process of its own
            self._keeper = RecordKeeper()
            listen(self._keeper)

    def pid(self) -> int:
        """The process to kill when it hangs."""
        return os.getpid()

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def hold(self) -> bool:
        """Keep what is handed on: nobody is there to take it."""
        return self._link is None or self._link.hold(HOLD_S)

    def resend(self) -> None:
        """Hand on again what was kept, and go on."""
        if self._link is not None:
            self._link.resend()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of this actor's process so far, and of those it has begun, by name."""
        return {self._identity[1]: cpu_seconds()}

    def _pulse(self) -> Pulse:
        return Pulse(*self._identity, self._clock, self._elsewhere_s, self._keeper)

    def _elsewhere_s(self) -> float:
        """CPU seconds of processes that it has begun."""
        return 0.0


class IngestNode(Node):
    """Reads some of the streams. Used as an actor, and in the driver for standard input.

    `stays`: whether more streams may come, so that `run` goes on until `stop`.
    """

    def __init__(
        self,
        settings: AttuneSettings,
        streams: Sequence[Assigned],
        align_address: str,
        name: str = "",
        turn: int = 0,
        pulse_address: str = "",
        stays: bool = False,
    ) -> None:
        super().__init__(settings, name, turn, pulse_address)
        self._streams = streams
        self._stays = stays
        self._align_address = align_address
        self._mailbox: Mailbox[Cargo] = Mailbox(IN_FLIGHT)
        self._ingest: Ingest | None = None

    def ready(self) -> tuple[str, int] | None:
        """Open the sources; None, or what is wrong with them and the exit code.

        A stream that was read before, by a process that is lost, fails alone.
        """
        from actors.ingest import Ingest

        self._ingest = Ingest((), self._settings, self._clock, self._mailbox.put)
        for assigned in self._streams:
            complaint = self.open(assigned, again=assigned.beginning is not None)
            if complaint is not None and assigned.beginning is None:
                self._ingest.close()
                return complaint
            if complaint is not None:  # it was read before: it fails alone
                self._ingest.give_up(assigned, complaint[0])
        return None

    def open(self, assigned: Assigned, *, again: bool = False) -> tuple[str, int] | None:
        """Open the sources of a stream; None, or what is wrong with them and the exit code.
        `again`: another process has read it and is lost."""
        if self._ingest is None or self._stop.is_set():
            return "the pipeline is ending", 1
        try:
            self._ingest.open(assigned, again=again)
        except AttuneError as error:
            return str(error), error.exit_code
        return None

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

    def run(self) -> None:
        """Read until all streams have ended and all that was read has been handed over."""
        if self._ingest is None:
            return
        self._ingest.start()
        threading.Thread(target=self._close_when_read, daemon=True).start()
        self._link, pulse = PushLink(self._align_address), self._pulse()
        while (cargo := self._mailbox.take(POLL_MS / 1000)) is not None or self._reading():
            pulse.waits(self._mailbox.counts().waiting)
            pulse.beat(beginnings=self._ingest.beginnings())
            if cargo is None:
                self._link.attend(self._stop)
            else:
                self._link.send(cargo, threading.Event(), pulse.beat)
        self._link.close()
        pulse.close()

    def stop(self) -> None:
        """End the streams early and in good order."""
        super().stop()
        if self._ingest is not None:
            self._ingest.stop()

    def _elsewhere_s(self) -> float:
        return 0.0 if self._ingest is None else self._ingest.speech_cpu_s

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

    def __init__(
        self,
        settings: AttuneSettings,
        address: str,
        infer_address: str,
        name: str = "",
        turn: int = 0,
        pulse_address: str = "",
    ) -> None:
        super().__init__(settings, name, turn, pulse_address)
        self._address, self._infer_address = address, infer_address

    def ready(self) -> None:
        """Load the kernels, so that the first window is not late."""
        from actors.warmup import warm_aligner

        warm_aligner()

    def run(
        self,
        published: Mapping[str, int] | None = None,
        accounts: Mapping[str, Carried] | None = None,
        ended: Mapping[str, int] | None = None,
    ) -> None:
        """Align until stopped; go on from where another aligner was."""
        from actors.align import AlignStage

        pull, push, pulse = (
            PullLink(self._address),
            PushLink(self._infer_address),
            self._pulse(),
        )
        self._link = push
        stage = AlignStage(
            self._settings.windows, self._clock, published, accounts, ended, self._settings.sync
        )
        ticked_ns = self._clock.now_ns()
        while not self._stop.is_set():
            arrived = pull.drain(TICK_MS)
            pulse.waits(len(arrived))
            out = [ready for cargo in arrived for ready in stage.handle(cargo)]
            now_ns = self._clock.now_ns()
            if now_ns - ticked_ns >= TICK_MS * NS_PER_MS:
                out, ticked_ns = out + stage.tick(), now_ns
            for cargo in out:
                push.send(cargo, self._stop, pulse.beat)
            push.attend(self._stop)
            if pulse.due:
                pulse.beat(accounts=stage.accounts())
        push.close()
        pull.close()
        pulse.close()


class InferNode(Node):
    """Scores windows, batched over streams; on a GPU where it was given one."""

    def __init__(
        self,
        settings: AttuneSettings,
        address: str,
        publish_address: str,
        name: str = "",
        turn: int = 0,
        pulse_address: str = "",
    ) -> None:
        super().__init__(settings, name, turn, pulse_address)
        self._address, self._publish_address = address, publish_address
        self._analyser: Scorer | None = None

    def ready(self) -> tuple[str, int] | None:
        """Load and warm the models; None, or what is wrong with them and the exit code."""
        from actors.warmup import load_analyser

        try:
            self._analyser = load_analyser(self._settings.model)
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def run(self, published: Mapping[str, int] | None = None) -> None:
        """Score until stopped; go on from where another was."""
        from actors.backlog import Limits
        from actors.gpu import gpu_use
        from actors.infer import InferStage

        if self._analyser is None:
            return
        limits = Limits.of(self._settings.pipeline)
        stage = InferStage(self._analyser, self._clock, published, limits)
        pull, push, pulse = (
            PullLink(self._address),
            PushLink(self._publish_address),
            self._pulse(),
        )
        self._link = push
        while not self._stop.is_set():
            stage.take(pull.drain(POLL_MS if stage.idle else 0, stage.room))
            pulse.waits(stage.waiting)
            for scored in stage.step():
                push.send(scored, self._stop, pulse.beat)
            push.attend(self._stop)
            if pulse.due:
                pulse.beat(gpu=gpu_use())
        push.close()
        pull.close()
        pulse.close()


class PublishNode(Node):
    """Makes events, numbers messages and feeds the sinks."""

    def __init__(
        self,
        settings: AttuneSettings,
        address: str,
        also_publish: tuple[str, ...] = (),
        name: str = "",
        turn: int = 0,
        pulse_address: str = "",
    ) -> None:
        super().__init__(settings, name, turn, pulse_address)
        self._address, self._also_publish = address, also_publish
        self._sinks: list[Sink] = []
        self._stage: PublishStage | None = None

    def ready(self) -> tuple[str, int] | None:
        """Open the sinks; None, or what is wrong with them and the exit code."""
        from actors.sinks import open_sinks

        try:
            self._sinks = open_sinks(
                self._settings, self._also_publish, again=self._identity[2] > 0
            )
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def run(
        self, published: Mapping[str, int] | None = None, ended: Mapping[str, int] | None = None
    ) -> tuple[dict[str, StreamTotals], list[str]]:
        """Publish until `stop`; what came of each stream, what failed."""
        from actors.publish import PublishStage

        stage = self._stage = PublishStage(
            self._settings, self._sinks, self._clock, published, ended
        )
        pull, pulse = PullLink(self._address), self._pulse()
        while not self._stop.is_set():
            some = pull.drain(POLL_MS)
            pulse.waits(len(some))
            for cargo in some:
                stage.handle(cargo)
            stage.tick()
            pulse.beat(now=bool(some), published=stage.published, ended=stage.ended)
        pull.close()
        pulse.close()
        stage.close()
        return stage.totals, stage.failures
