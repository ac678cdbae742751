"""The whole pipeline in one process, without Ray: for tests and single small jobs.

The stages are the same plain classes that the Ray actors hold, and a contract suite holds both
pipelines equal in what they emit.
"""

from __future__ import annotations

import threading

from actors.align import AlignStage
from actors.backlog import Limits
from actors.gpu import gpu_use
from actors.infer import InferStage, Scorer
from actors.ingest import Ingest
from actors.memory import give_back_meanwhile
from actors.messages import Cargo
from actors.publish import PublishStage
from actors.recording import RecordedAlign
from actors.report import Report, cpu_seconds, speech_s
from streaming.clock import NS_PER_S, Clock, SystemClock
from streaming.figures import Figures
from streaming.mailbox import Mailbox
from streaming.settings import AttuneSettings
from streaming.sinks import Sink

IN_FLIGHT = 64
TICK_S = 0.02
NS_PER_TICK = int(TICK_S * NS_PER_S)


class InlinePipeline:
    """All stages on the calling thread, the readers on theirs. Sinks are closed at the end.

    `align`: in the place of an `AlignStage` of its own, to record what goes into it. Then no window
    is given up for its age: a replay, which takes no time, would show it.
    """

    def __init__(
        self,
        settings: AttuneSettings,
        analyser: Scorer,
        sinks: list[Sink],
        clock: Clock | None = None,
        align: AlignStage | RecordedAlign | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._mailbox: Mailbox[Cargo] = Mailbox(IN_FLIGHT)
        self._waiting = self._figures_due_ns = 0
        self._align = align or AlignStage(settings.windows, self._clock, sync=settings.sync)
        limits = Limits.of(settings.pipeline) if align is None else None
        self._infer = InferStage(analyser, self._clock, limits=limits)
        self._publish = PublishStage(settings, sinks, self._clock)
        self._ingest = Ingest(settings.streams, settings, self._clock, self._mailbox.put)

    def run(self, stop: threading.Event) -> Report:
        """Run until all streams have ended; `stop` ends them early and in good order."""
        started_ns, cpu_s = self._clock.now_ns(), cpu_seconds()
        closer = threading.Thread(target=self._close_when_read, daemon=True)
        self._ingest.start()
        closer.start()
        over = threading.Event()
        give_back_meanwhile(over)
        try:
            self._loop(stop)
        finally:
            over.set()
            self._ingest.stop()
            self._mailbox.close()
            self._publish.close()
        return Report(
            streams=self._publish.totals,
            failures=self._publish.failures,
            wall_s=(self._clock.now_ns() - started_ns) / NS_PER_S,
            cpu_s={"inline": cpu_seconds() - cpu_s, **speech_s(self._ingest.speech_cpu_s)},
            interrupted=stop.is_set(),
        )

    def _loop(self, stop: threading.Event) -> None:
        ticked_ns = self._clock.now_ns()
        while True:
            cargoes = self._arrived()
            ready = [out for cargo in cargoes for out in self._align.handle(cargo)]
            now_ns = self._clock.now_ns()
            if now_ns - ticked_ns >= NS_PER_TICK:
                ready, ticked_ns = ready + self._align.tick(), now_ns
            self._infer.take(ready)
            for scored in self._infer.step():
                self._publish.handle(scored)
            self._publish.tick()
            self._measure(len(cargoes), now_ns)
            if stop.is_set():
                self._ingest.stop()
            if not cargoes and self._infer.idle and self._mailbox.closed:
                return

    def _measure(self, arrived: int, now_ns: int) -> None:
        """Have what waits served as metrics, once a second."""
        self._waiting = max(self._waiting, arrived + self._infer.waiting)
        if now_ns >= self._figures_due_ns:
            self._figures_due_ns = now_ns + NS_PER_S
            self._publish.handle(Figures(part="inline", waiting=self._waiting, gpu=gpu_use()))
            self._waiting = 0

    def _arrived(self) -> list[Cargo]:
        """All that waits to be aligned, so that no window seems younger than it is; waits a little
        for the first while there is nothing else to do."""
        first = self._mailbox.take(TICK_S if self._infer.idle else 0)
        out = [] if first is None else [first]
        while out and len(out) < self._infer.room and (more := self._mailbox.take(0)) is not None:
            out.append(more)
        return out

    def _close_when_read(self) -> None:
        self._ingest.join()
        self._mailbox.close()
