"""Ray: which process runs what. Nothing else in Attune imports it.

Ray starts, places and kills the actors; what flows between them flows over links. One ingest
actor hosts many streams: processes follow cores and devices, not streams. In real time a part
that is lost is started anew and goes on where it was; docs/supervision.md says what that costs.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors.accounts import Carried
from actors.admission import Load
from actors.desk import Desk
from actors.link import PushLink
from actors.messages import Notice
from actors.nodes import DRIVER, AlignNode, InferNode, IngestNode, PublishNode
from actors.pulse import Pulses, Sign
from actors.ray_part import LostError, Part, quiet_ray
from actors.records import Said
from actors.report import Report, cpu_seconds
from actors.roster import Roster
from streaming.audit import AuditLog
from streaming.clock import NS_PER_S, SystemClock
from streaming.control import State
from streaming.control_port import ControlPort
from streaming.errors import PipelineError, SourceError, UsageError
from streaming.figures import Figures
from streaming.health import Health, HealthKind
from streaming.keys import read_server_keys
from streaming.settings import AttuneSettings, ControlSettings, StreamSettings, TextSettings

OBJECT_STORE_BYTES = 80 * 2**20  # the least Ray takes; no payload goes through it
POLL_S = 0.05
DRAIN_S = 20.0
OnRecord = Callable[[str, Said], None]
FIGURES_NS = NS_PER_S  # how often metrics of the parts are served anew


class RayPipeline:
    """The pipeline as Ray actors on this machine. Use as a context manager.

    `on_record`: is given what Python's logging says in any of its processes, and in which.
    """

    def __init__(self, settings: AttuneSettings, on_record: OnRecord | None = None) -> None:
        self._settings = settings
        self._on_record = on_record
        self._figures_due: dict[str, int] = {}
        self._most_waiting: Counter[str] = Counter()
        self._folder = Path(tempfile.mkdtemp(prefix="attune-"))
        self._clock = SystemClock()
        self.view_address = self._address("view")
        self._parts: dict[str, Part] = {}
        self._local: IngestNode | None = None
        self._accounts: dict[str, Carried] = {}
        self._load = Load()
        self._control: ControlPort | None = None
        self._roster = Roster(self._shares())
        self._desk = Desk(self._roster, self._readers, self._say, self._clock, self._full)

    def __enter__(self) -> RayPipeline:
        # Actors without a GPU keep their view of the machine's; Ray warns that this will change.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        logging.getLogger("ray").setLevel(logging.ERROR)  # its notices are no news to a user
        ray.init(
            address="local",  # a cluster of its own, even where another one runs
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
            configure_logging=False,
        )
        quiet_ray()
        self._pulses = Pulses(self._address("pulse"))
        self._notices = PushLink(self._address("publish"), keeps=False)
        self._control = open_control(self._settings.control, self._settings.output.audit)
        return self

    def __exit__(self, *failure: object) -> None:
        self._pulses.close()
        self._notices.close()
        if self._control is not None:
            self._control.close()
        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Place the actors and wait until each can work. Raises the first one's complaint."""
        self._parts = {part.name: part for part in self._plan()}
        for part in self._parts.values():
            part.place()
        here = self._roster.share(DRIVER)
        if here:
            align, pulse = self._address("align"), self._address("pulse")
            self._local = IngestNode(self._settings, here, align, DRIVER, 0, pulse)
        complaints = [self._complaint(part) for part in self._parts.values()]
        complaints.append(self._local.ready() if self._local else None)
        for text, exit_code in filter(None, complaints):
            raise (UsageError if exit_code == UsageError.exit_code else SourceError)(text)

    def run(self, stop: threading.Event) -> Report:
        """Run until all streams have ended; `stop` ends them early and in good order."""
        started_ns = self._clock.now_ns()
        cpu_before = self._cpu_s()
        for part in self._parts.values():
            part.begin(self._clock.now_ns())
        if self._local is not None:
            threading.Thread(target=self._local.run, daemon=True).start()
        totals, failures = self._supervise(stop)
        cpu_after = self._cpu_s()
        return Report(
            streams=totals,
            failures=failures,
            wall_s=(self._clock.now_ns() - started_ns) / NS_PER_S,
            cpu_s={name: _since(cpu_before.get(name, 0.0), cpu_after[name]) for name in cpu_after},
            interrupted=stop.is_set(),
        )

    def _plan(self) -> list[Part]:
        """The parts, each before the one that hands over to it."""
        settings, pulse = self._settings, self._address("pulse")
        align, infer, publish = map(self._address, ("align", "infer", "publish"))
        roster = self._roster
        limits = (settings.pipeline.restarts, round(settings.pipeline.hang_s * NS_PER_S))
        gpus = self._gpus()
        return [
            Part(
                "publish",
                lambda turn: _actor(
                    PublishNode, settings, publish, (self.view_address,), "publish", turn, pulse
                ),
                lambda: (dict(roster.published), dict(roster.ended)),
                *limits,
            ),
            Part(
                "infer",
                lambda turn: _actor(
                    InferNode, settings, infer, publish, "infer", turn, pulse, gpus=gpus
                ),
                lambda: (dict(roster.published),),
                *limits,
                standby=settings.pipeline.standby,
            ),
            Part(
                "align",
                lambda turn: _actor(AlignNode, settings, align, infer, "align", turn, pulse),
                lambda: (dict(roster.published), dict(self._accounts), dict(roster.ended)),
                *limits,
            ),
            *(self._ingest(name, limits) for name in self._shares() if name != DRIVER),
        ]

    def _ingest(self, name: str, limits: tuple[int, int]) -> Part:
        align, pulse = self._address("align"), self._address("pulse")
        stays = bool(self._settings.control.address)

        def make(turn: int) -> Any:
            share = self._roster.share(name)
            return _actor(IngestNode, self._settings, share, align, name, turn, pulse, stays)

        return Part(name, make, lambda: (), *limits)

    def _shares(self) -> dict[str, list[StreamSettings]]:
        """Who reads which streams: standard input the driver, the rest the ingest actors."""
        settings = self._settings
        there = [s for s in settings.streams if not _reads_stdin(s)]
        workers = settings.pipeline.ingest_workers or min(os.cpu_count() or 1, 2)
        shares = {f"ingest-{i}": there[i::workers] for i in range(workers)}
        if not settings.control.address:  # nobody will have more streams read
            shares = {name: share for name, share in shares.items() if share}
        return {DRIVER: [s for s in settings.streams if _reads_stdin(s)], **shares}

    def _complaint(self, part: Part) -> tuple[str, int] | None:
        try:
            return part.complaint()
        except LostError as loss:
            raise PipelineError(f"the pipeline's part {part.name} did not start: {loss}") from loss

    # ------------------------------------------------------------------ supervision

    def _supervise(self, stop: threading.Event) -> Any:
        """The publisher's account, once every stream has ended."""
        publish = self._parts["publish"]
        deadline_ns = 0
        while not publish.done:
            self._listen()
            for part in self._parts.values():
                self._attend(part)
            now_ns = self._clock.now_ns()
            if stop.is_set() and not deadline_ns:
                self._stop_reading()
                deadline_ns = now_ns + round(DRAIN_S * NS_PER_S)
            self._take_commands()
            if self._all_ended(stop) or (deadline_ns and now_ns > deadline_ns):
                publish.stop()
            ray.wait([publish.running], timeout=POLL_S) if publish.running else stop.wait(POLL_S)
        return publish.outcome

    def _listen(self) -> None:
        """Take in the signs of life and what they tell."""
        for sign in self._pulses.read():
            part = self._parts.get(sign.name)
            if part is None or part.turn == sign.turn:
                self._note(sign)
                if part is not None:
                    part.vitals.heard(self._clock.now_ns())

    def _note(self, sign: Sign) -> None:
        self._roster.note(sign)
        self._accounts.update(sign.accounts or {})
        now_ns = self._clock.now_ns()
        self._load.note(sign.name, sign.turn, sign.cpu_s, now_ns)
        if self._on_record is not None:
            for said in sign.records:
                self._on_record(sign.name, said)
        self._measure(sign, now_ns)

    def _measure(self, sign: Sign, now_ns: int) -> None:
        """Have the part's figures served, once a second, while there is somebody to do so."""
        most = self._most_waiting[sign.name] = max(self._most_waiting[sign.name], sign.waiting)
        served = self._settings.metrics.port and self._parts["publish"].at_work
        if not served or now_ns < self._figures_due.get(sign.name, 0):
            return
        self._figures_due[sign.name] = now_ns + FIGURES_NS
        self._most_waiting[sign.name] = 0
        self._notices.offer(Figures(part=sign.name, waiting=most, gpu=sign.gpu))

    def _attend(self, part: Part) -> None:
        """See after one part: let it begin when it is ready, replace it when it is lost."""
        try:
            if part.check(self._clock.now_ns()):
                self._go_on(part)
        except LostError as loss:
            self._replace(part, str(loss))

    def _replace(self, part: Part, why: str) -> None:
        now_ns = self._clock.now_ns()
        limit = self._settings.pipeline.restarts
        if self._settings.pipeline.pace == "fast" or not part.vitals.may_restart(now_ns):
            again = f" more than {limit} times in a minute" if part.turn and limit else ""
            raise PipelineError(f"the pipeline's part {part.name} was lost{again}: {why}")
        part.held = [up.hold() for up in self._upstream(part)]
        part.replace(why, now_ns)

    def _go_on(self, part: Part) -> None:
        """A part that took another's place is ready: let it run, and give it what it missed."""
        part.await_held()
        part.begin(self._clock.now_ns())
        for up in self._upstream(part):
            up.resend()
        for name in self._roster.unended(part.name):
            if self._roster.entries[name].state is not State.RUNNING:
                part.stop_one(name)  # that was asked for while the part was away
        self._tell(part)

    def _tell(self, part: Part) -> None:
        outage_s = (self._clock.now_ns() - part.lost_ns) / NS_PER_S
        detail = f"{part.name} was lost ({part.why}) and back after {outage_s:.1f} s"
        reader = part.name if part in self._readers() else None
        for stream in self._roster.unended(reader):
            self._say(stream, HealthKind.RESTARTED, detail, count=part.turn)

    def _say(self, stream: str, kind: HealthKind, detail: str, count: int = 0) -> None:
        """Have something published that the supervisor knows of a stream."""
        t_ns = self._roster.time_ns(stream, self._clock.now_ns())
        health = Health(stream=stream, kind=kind, t_ns=t_ns, count=count, detail=detail)
        self._notices.send(Notice(health), threading.Event())

    def _upstream(self, part: Part) -> list[Any]:
        """Who hands over to `part`."""
        if part.name == "publish":
            return [self._parts["infer"]]
        if part.name == "infer":
            return [self._parts["align"]]
        here = [self._local] if self._local else []
        return [*self._readers(), *here] if part.name == "align" else []

    def _all_ended(self, stop: threading.Event) -> bool:
        """Whether nothing more is to come; where streams may be added, only a stop says so."""
        return self._roster.all_over() and (self._control is None or stop.is_set())

    def _readers(self) -> list[Part]:
        return [part for name, part in self._parts.items() if name.startswith("ingest")]

    def _stop_reading(self) -> None:
        self._desk.close()
        for part in self._readers():
            part.stop()
        if self._local is not None:
            self._local.stop()

    # ------------------------------------------------------------------ control

    def _take_commands(self) -> None:
        """Begin with what was asked for, and go on with what is under way."""
        if self._control is None:
            return
        for way, request in self._control.receive():
            self._desk.take(request, partial(self._control.reply, way))
        self._desk.step()

    def _full(self) -> str | None:
        """Why one more stream would be too much for this machine, or None."""
        return self._load.full(len(self._roster.unended()), len(os.sched_getaffinity(0)))

    # ------------------------------------------------------------------ resources

    def _cpu_s(self) -> dict[str, float]:
        told = [part.cpu_s() for part in self._parts.values()]
        told.append({DRIVER: cpu_seconds()} if self._local is None else self._local.cpu_s())
        spent: dict[str, float] = {}
        for name, cpu_s in (entry for part in told for entry in part.items()):
            spent[name] = spent.get(name, 0.0) + cpu_s
        return spent

    def _gpus(self) -> float:
        if self._settings.model.device == "cpu" or not ray.cluster_resources().get("GPU", 0):
            return 0
        return 0.5 if self._settings.pipeline.standby else 1

    def _address(self, name: str) -> str:
        return f"ipc://{self._folder}/{name}"


def _since(before_s: float, after_s: float) -> float:
    """CPU time between two readings; of a process that took another's place, all of its own."""
    return after_s - before_s if after_s >= before_s else after_s


def _actor(node: type, *arguments: Any, gpus: float = 0) -> Any:
    remote: Any = ray.remote(node)
    return remote.options(num_cpus=0, num_gpus=gpus, max_concurrency=4).remote(*arguments)


def open_control(settings: ControlSettings, audit: str = "") -> ControlPort | None:
    """The control port that is asked for, or None. `audit`: path of the audit log."""
    if not settings.address:
        return None
    keys = read_server_keys(Path(settings.keys)) if settings.keys else None
    return ControlPort(settings.address, keys, AuditLog(audit) if audit else None)


def _reads_stdin(stream: StreamSettings) -> bool:
    """Standard input belongs to the driver, so such a stream is read there."""
    return any(isinstance(s, TextSettings) and s.path == "-" for s in stream.sources)
