"""Ray: which process runs what, on one machine or several.

Ray starts, places and kills the actors; what flows between them flows over links. One ingest
actor hosts many streams: processes follow cores and devices, not streams. In real time a part
that is lost is started anew and goes on where it was; docs/supervision.md says what that costs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors.accounts import Carried
from actors.admission import Load
from actors.desk import Desk
from actors.node import DRIVER
from actors.nodes import IngestNode
from actors.places import Places
from actors.pulse import Sign
from actors.ray_join import join
from actors.ray_notices import Notices
from actors.ray_part import LostError, Part
from actors.ray_plan import Plan, shares
from actors.records import Said
from actors.report import Report, cpu_seconds
from actors.roster import Roster, is_free_reader
from actors.wires import Switchboard
from streaming.audit import AuditLog
from streaming.clock import NS_PER_S, SystemClock
from streaming.control import State
from streaming.control_port import ControlPort
from streaming.errors import PipelineError, SourceError, UsageError
from streaming.health import HealthKind
from streaming.keys import read_server_keys
from streaming.settings import AttuneSettings, ControlSettings

POLL_S = 0.05
DRAIN_S = 20.0
OnRecord = Callable[[str, Said], None]


class RayPipeline:
    """The pipeline as Ray actors. Use as a context manager.

    `on_record`: is given what Python's logging says in any of its processes, and in which.
    """

    def __init__(self, settings: AttuneSettings, on_record: OnRecord | None = None) -> None:
        self._settings = settings
        self._on_record = on_record
        self._clock = SystemClock()
        self._parts: dict[str, Part] = {}
        self._local: IngestNode | None = None
        self._accounts: dict[str, Carried] = {}
        self._load = Load()

    def __enter__(self) -> RayPipeline:
        with ExitStack() as stack:
            stack.callback(ray.shutdown)
            join(self._settings.pipeline.address)
            self._places = Places()
            self._shares = shares(self._settings, self._places.alive())
            away = self._settings.pipeline.address and self._places.here.address
            self._board = Switchboard(away)
            stack.callback(self._board.close)
            self._control = open_control(self._settings.control, self._settings.output.audit)
            if self._control is not None:
                stack.callback(self._control.close)
            self._roster = Roster(self._shares)
            keys = self._board.here.connecting
            self._notices = Notices(self._roster, self._clock, self._has_publisher, keys)
            stack.callback(self._notices.close)
            say = self._notices.say
            self._desk = Desk(self._roster, self._readers, say, self._clock, self._full)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._closing.close()

    @property
    def view_address(self) -> str:
        """Where this process can follow what is published."""
        return self._board.view_address

    def start(self) -> None:
        """Place the actors and wait until each can work. Raises the first one's complaint."""
        plan = Plan(self._settings, self._places, self._board, self._roster, self._accounts)
        self._parts = plan.parts(self._shares)
        for part in self._parts.values():
            part.settle()
        here = self._roster.share(DRIVER)
        if here:
            self._local = IngestNode(self._settings, self._board.here, DRIVER, 0, here)
        complaints = [self._complaint(part) for part in self._parts.values()]
        complaints.append(self._local.ready() if self._local else None)
        for text, exit_code in filter(None, complaints):
            raise (UsageError if exit_code == UsageError.exit_code else SourceError)(text)

    def run(self, stop: threading.Event) -> Report:
        """Run until all streams have ended; `stop` ends them early and in good order."""
        started_ns = self._clock.now_ns()
        cpu_before = self._cpu_s()
        for part in self._parts.values():
            self._begin(part)
        self._notices.call(self._parts["publish"].address)
        if self._local is not None:
            to = (self._parts["align"].address,)
            threading.Thread(target=self._local.run, args=to, daemon=True).start()
        totals, failures = self._supervise(stop)
        cpu_after = self._cpu_s()
        return Report(
            streams=totals,
            failures=failures,
            wall_s=(self._clock.now_ns() - started_ns) / NS_PER_S,
            cpu_s={name: _since(cpu_before.get(name, 0.0), cpu_after[name]) for name in cpu_after},
            interrupted=stop.is_set(),
        )

    def _complaint(self, part: Part) -> tuple[str, int] | None:
        if part.waits:
            raise PipelineError(f"there is no node for the pipeline's part {part.name}")
        with _started(part.name):
            return part.complaint()
        return None

    def _begin(self, part: Part) -> None:
        with _started(part.name):
            part.begin(self._clock.now_ns())

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
        for sign in self._board.pulses.read():
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
        if self._settings.metrics.port:
            self._notices.measure(sign)

    def _attend(self, part: Part) -> None:
        """See after one part: let it begin when it is ready, replace it when it is lost."""
        try:
            if part.check(self._clock.now_ns()):
                self._go_on(part)
        except LostError as loss:
            self._replace(part, str(loss))

    def _replace(self, part: Part, why: str) -> None:
        self._listen()  # to its last words
        now_ns = self._clock.now_ns()
        limit = self._settings.pipeline.restarts
        if self._settings.pipeline.pace == "fast" or not part.vitals.may_restart(now_ns):
            again = f" more than {limit} times in a minute" if part.turn and limit else ""
            raise PipelineError(f"the pipeline's part {part.name} was lost{again}: {why}")
        if self._moved(part):
            return
        part.held = [up.hold() for up in self._upstream(part)]
        part.replace(why, now_ns)
        if part.waits:
            for stream in self._roster.unended(part.name):
                detail = f"{part.name}: its node is gone; it is read again when that is back"
                self._notices.say(stream, HealthKind.SOURCE_LOST, detail)

    def _moved(self, part: Part) -> bool:
        """Whether other readers go on with the streams of one whose node is gone."""
        alive = {place.id for place in self._places.alive()} if is_free_reader(part.name) else set()
        heirs = [r for r in self._readers() if r.at_work and r.place and r.place.id in alive]
        heirs = [r for r in heirs if is_free_reader(r.name) and r is not part]
        if not heirs or (part.place and part.place.id in alive):
            return False
        for name in self._roster.unended(part.name):
            heir = min(heirs, key=lambda r: len(self._roster.unended(r.name)))
            self._roster.entries[name].reader = heir.name
            heir.take_over([self._roster.assigned(name)])
            if self._roster.entries[name].state is not State.RUNNING:
                heir.stop_one(name)
            detail = f"the node of {part.name} is gone; {heir.name} goes on"
            self._notices.say(name, HealthKind.RESTARTED, detail, count=1)
        part.retire()
        return True

    def _go_on(self, part: Part) -> None:
        """A part that took another's place is ready: let it run, and give it what it missed."""
        part.await_held()
        part.begin(self._clock.now_ns())
        if part.name == "publish":
            self._notices.call(part.address)
        for up in self._upstream(part):
            up.resend(part.address)
        for name in self._roster.unended(part.name):
            if self._roster.entries[name].state is not State.RUNNING:
                part.stop_one(name)  # that was asked for while the part was away
        self._tell(part)

    def _tell(self, part: Part) -> None:
        outage_s = (self._clock.now_ns() - part.lost_ns) / NS_PER_S
        detail = f"{part.name} was lost ({part.why}) and back after {outage_s:.1f} s"
        reader = part.name if part in self._readers() else None
        for stream in self._roster.unended(reader):
            self._notices.say(stream, HealthKind.RESTARTED, detail, count=part.turn)

    def _has_publisher(self) -> bool:
        return "publish" in self._parts and self._parts["publish"].at_work

    def _upstream(self, part: Part) -> list[Any]:
        """Who hands over to `part`."""
        if part.name == "align":
            return [*self._readers(), *([self._local] if self._local else [])]
        before = self._parts.get({"publish": "infer", "infer": "align"}.get(part.name, ""))
        return [before] if before is not None and not before.waits else []

    def _all_ended(self, stop: threading.Event) -> bool:
        """Whether nothing more is to come; where streams may be added, only a stop says so."""
        if not stop.is_set():
            return self._control is None and self._roster.all_over()
        return self._roster.all_over([name for name, part in self._parts.items() if part.waits])

    def _readers(self) -> list[Part]:
        parts = [part for name, part in self._parts.items() if name.startswith("ingest")]
        return [part for part in parts if not part.waits]

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
        cores = len(os.sched_getaffinity(0))
        if self._settings.pipeline.address:
            cores = round(sum(place.cpus for place in self._places.alive()))
        return self._load.full(len(self._roster.unended()), cores)

    # ------------------------------------------------------------------ resources

    def _cpu_s(self) -> dict[str, float]:
        told = [part.cpu_s() for part in self._parts.values()]
        told.append({DRIVER: cpu_seconds()} if self._local is None else self._local.cpu_s())
        spent: dict[str, float] = {}
        for name, cpu_s in (entry for part in told for entry in part.items()):
            spent[name] = spent.get(name, 0.0) + cpu_s
        return spent


@contextmanager
def _started(name: str) -> Iterator[None]:
    try:
        yield
    except LostError as loss:
        raise PipelineError(f"the pipeline's part {name} did not start: {loss}") from loss


def _since(before_s: float, after_s: float) -> float:
    """CPU time between two readings; of a process that took another's place, all of its own."""
    return after_s - before_s if after_s >= before_s else after_s


def open_control(settings: ControlSettings, audit: str = "") -> ControlPort | None:
    """The control port that is asked for, or None. `audit`: path of the audit log."""
    if not settings.address:
        return None
    keys = read_server_keys(Path(settings.keys)) if settings.keys else None
    return ControlPort(settings.address, keys, AuditLog(audit) if audit else None)
