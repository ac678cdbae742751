"""The Ray actors: each holds one plain stage between two links, and adds nothing to it.

Every actor answers `ready` once it can work at full speed, `run` until its work is over, and
`stop`. Failures that a user can mend come back as text; anything else raises through Ray.
Each process imports its own stage only: torch and Numba take seconds, and most need neither.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.link import PullLink, PushLink
from actors.messages import Cargo
from actors.report import StreamTotals, cpu_seconds
from streaming.clock import NS_PER_MS, SystemClock
from streaming.errors import AttuneError
from streaming.mailbox import Mailbox
from streaming.settings import AttuneSettings, StreamSettings

if TYPE_CHECKING:
    from actors.infer import InferStage
    from actors.ingest import Ingest
    from actors.publish import PublishStage

TICK_MS = 20
POLL_MS = 100
IN_FLIGHT = 64


class Node:
    """What all actors share: settings, a clock, a way to be stopped."""

    def __init__(self, settings: AttuneSettings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._stop = threading.Event()

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def cpu_s(self) -> float:
        """CPU seconds of this actor's process so far."""
        return cpu_seconds()


class IngestNode(Node):
    """Reads some of the streams. Used as an actor, and in the driver for standard input."""

    def __init__(
        self, settings: AttuneSettings, streams: Sequence[StreamSettings], align_address: str
    ) -> None:
        super().__init__(settings)
        self._streams = streams
        self._align_address = align_address
        self._mailbox: Mailbox[Cargo] = Mailbox(IN_FLIGHT)
        self._ingest: Ingest | None = None

    def ready(self) -> tuple[str, int] | None:
        """Open the sources; None, or what is wrong with them and the exit code."""
        from actors.ingest import Ingest

        try:
            self._ingest = Ingest(self._streams, self._settings, self._clock, self._mailbox.put)
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def run(self) -> None:
        """Read until all streams have ended and all that was read has been handed over."""
        if self._ingest is None:
            return
        self._ingest.start()
        threading.Thread(target=self._close_when_read, daemon=True).start()
        link = PushLink(self._align_address)
        while (cargo := self._mailbox.take()) is not None:
            link.send(cargo, threading.Event())
        link.close()

    def stop(self) -> None:
        """End the streams early and in good order."""
        super().stop()
        if self._ingest is not None:
            self._ingest.stop()

    def _close_when_read(self) -> None:
        if self._ingest is not None:
            self._ingest.join()
        self._mailbox.close()


class AlignNode(Node):
    """Aligns all streams."""

    def __init__(self, settings: AttuneSettings, address: str, infer_address: str) -> None:
        super().__init__(settings)
        self._address, self._infer_address = address, infer_address

    def ready(self) -> None:
        """Load the kernels, so that the first window is not late."""
        from actors.warmup import warm_aligner

        warm_aligner()

    def run(self) -> None:
        """Align until stopped."""
        from actors.align import AlignStage

        pull, push = PullLink(self._address), PushLink(self._infer_address)
        stage = AlignStage(self._settings.windows, self._clock)
        ticked_ns = self._clock.now_ns()
        while not self._stop.is_set():
            out = [ready for cargo in pull.drain(TICK_MS) for ready in stage.handle(cargo)]
            now_ns = self._clock.now_ns()
            if now_ns - ticked_ns >= TICK_MS * NS_PER_MS:
                out, ticked_ns = out + stage.tick(), now_ns
            for cargo in out:
                push.send(cargo, self._stop)
        push.close()
        pull.close()


class InferNode(Node):
    """Scores windows, batched over streams; on a GPU where it was given one."""

    def __init__(self, settings: AttuneSettings, address: str, publish_address: str) -> None:
        super().__init__(settings)
        self._address, self._publish_address = address, publish_address
        self._stage: InferStage | None = None

    def ready(self) -> tuple[str, int] | None:
        """Load and warm the models; None, or what is wrong with them and the exit code."""
        from actors.infer import InferStage
        from actors.warmup import load_analyser

        try:
            self._stage = InferStage(load_analyser(self._settings.model), self._clock)
        except AttuneError as error:
            return str(error), error.exit_code
        return None

    def run(self) -> None:
        """Score until stopped."""
        pull, push = PullLink(self._address), PushLink(self._publish_address)
        while not self._stop.is_set() and self._stage is not None:
            for scored in self._stage.handle(pull.drain(POLL_MS)):
                push.send(scored, self._stop)
        push.close()
        pull.close()


class PublishNode(Node):
    """Makes events, numbers messages and feeds the sinks."""

    def __init__(
        self, settings: AttuneSettings, address: str, also_publish: tuple[str, ...] = ()
    ) -> None:
        super().__init__(settings)
        self._address, self._also_publish = address, also_publish
        self._stage: PublishStage | None = None

    def ready(self) -> tuple[str, int] | None:
        """Open the sinks; None, or what is wrong with them and the exit code."""
        from actors.publish import PublishStage
        from actors.sinks import open_sinks

        try:
            sinks = open_sinks(self._settings.output, self._also_publish)
        except AttuneError as error:
            return str(error), error.exit_code
        self._stage = PublishStage(self._settings, sinks, self._clock)
        return None

    def run(self) -> tuple[dict[str, StreamTotals], list[str]]:
        """Publish until all streams have ended or `stop`; what came of each, what failed."""
        if self._stage is None:
            return {}, []
        pull = PullLink(self._address)
        while not (self._stop.is_set() or self._all_ended()):
            for cargo in pull.drain(POLL_MS):
                self._stage.handle(cargo)
            self._stage.tick()
        pull.close()
        self._stage.close()
        return self._stage.totals, self._stage.failures

    def failures(self) -> list[str]:
        """What has failed so far."""
        return list(self._stage.failures) if self._stage is not None else []

    def _all_ended(self) -> bool:
        totals = self._stage.totals if self._stage is not None else {}
        return all(s.name in totals and totals[s.name].ended for s in self._settings.streams)
