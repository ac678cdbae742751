"""Ray: which process runs what. Nothing else in Attune imports it.

Ray starts, places and supervises the actors; what flows between them flows over links. One
ingest actor hosts many streams: processes follow cores and devices, not streams.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from actors.nodes import AlignNode, InferNode, IngestNode, PublishNode
from actors.report import Report, cpu_seconds
from streaming.clock import NS_PER_S, SystemClock
from streaming.errors import AttuneError, PipelineError, SourceError, UsageError
from streaming.settings import AttuneSettings, StreamSettings, TextSettings

OBJECT_STORE_BYTES = 80 * 2**20  # the least Ray takes; no payload goes through it
POLL_S = 0.25
DRAIN_S = 20.0


class RayPipeline:
    """The pipeline as Ray actors on this machine. Use as a context manager."""

    def __init__(self, settings: AttuneSettings) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="attune-"))
        self._clock = SystemClock()
        self.view_address = self._address("view")
        self._ingest: list[Any] = []
        self._local: IngestNode | None = None
        self._downstream: dict[str, Any] = {}

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
        return self

    def __exit__(self, *failure: object) -> None:
        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Place the actors and wait until each can work. Raises the first one's complaint."""
        here = [s for s in self._settings.streams if _reads_stdin(s)]
        there = [s for s in self._settings.streams if not _reads_stdin(s)]
        align, infer, publish = map(self._address, ("align", "infer", "publish"))
        self._downstream = {
            "publish": _actor(PublishNode, self._settings, publish, (self.view_address,)),
            "infer": _actor(InferNode, self._settings, infer, publish, gpus=self._gpus()),
            "align": _actor(AlignNode, self._settings, align, infer),
        }
        self._ingest = [
            _actor(IngestNode, self._settings, share, align)
            for share in _shares(there, self._workers())
        ]
        if here:
            self._local = IngestNode(self._settings, here, align)
        nodes = [*self._downstream.values(), *self._ingest]
        complaints = self._get([node.ready.remote() for node in nodes])
        complaints.append(self._local.ready() if self._local else None)
        for complaint in filter(None, complaints):
            text, exit_code = complaint
            raise (UsageError if exit_code == UsageError.exit_code else SourceError)(text)

    def run(self, stop: threading.Event) -> Report:
        """Run until all streams have ended; `stop` ends them early and in good order."""
        started_ns = self._clock.now_ns()
        cpu_before = self._cpu_s()
        done = self._downstream["publish"].run.remote()
        steady = [self._downstream[name].run.remote() for name in ("infer", "align")]
        reading = [node.run.remote() for node in self._ingest]
        if self._local is not None:
            threading.Thread(target=self._local.run, daemon=True).start()
        totals, failures = self._wait(done, [*steady, *reading], stop)
        cpu_after = self._cpu_s()
        return Report(
            streams=totals,
            failures=failures,
            wall_s=(self._clock.now_ns() - started_ns) / NS_PER_S,
            cpu_s={name: cpu_after[name] - cpu_before[name] for name in cpu_after},
            interrupted=stop.is_set(),
        )

    def _wait(self, done: Any, others: list[Any], stop: threading.Event) -> Any:
        """The publisher's account. A stage that dies takes the run with it."""
        pending = [done, *others]
        stopping_ns = 0
        while True:
            finished, pending = ray.wait(pending, num_returns=1, timeout=POLL_S)
            for ref in finished:
                outcome = self._get(ref)
                if ref == done:
                    return outcome
            if stop.is_set() and not stopping_ns:
                self._stop_reading()
                stopping_ns = self._clock.now_ns()
            if stopping_ns and self._clock.now_ns() - stopping_ns > DRAIN_S * NS_PER_S:
                self._downstream["publish"].stop.remote()

    def _stop_reading(self) -> None:
        for node in self._ingest:
            node.stop.remote()
        if self._local is not None:
            self._local.stop()

    def _get(self, refs: Any) -> Any:
        try:
            return ray.get(refs)
        except RayError as error:
            cause = getattr(error, "cause", None) or error
            if isinstance(cause, AttuneError):
                raise cause from None
            last = str(cause).strip().splitlines()[-1] if str(cause).strip() else repr(cause)
            raise PipelineError(f"a stage of the pipeline died: {last}") from error

    def _cpu_s(self) -> dict[str, float]:
        named = {**self._downstream, **{f"ingest-{i}": n for i, n in enumerate(self._ingest)}}
        spent = self._get([node.cpu_s.remote() for node in named.values()])
        return {**dict(zip(named, spent, strict=True)), "driver": cpu_seconds()}

    def _workers(self) -> int:
        return self._settings.pipeline.ingest_workers or min(os.cpu_count() or 1, 2)

    def _gpus(self) -> int:
        if self._settings.model.device == "cpu":
            return 0
        return int(min(ray.cluster_resources().get("GPU", 0), 1))

    def _address(self, name: str) -> str:
        return f"ipc://{self._folder}/{name}"


def _actor(node: type, *arguments: Any, gpus: int = 0) -> Any:
    remote: Any = ray.remote(node)
    return remote.options(num_cpus=0, num_gpus=gpus, max_concurrency=4).remote(*arguments)


def _shares(streams: list[StreamSettings], workers: int) -> list[list[StreamSettings]]:
    """The streams dealt to at most `workers` ingest actors."""
    return [share for i in range(workers) if (share := streams[i::workers])]


def _reads_stdin(stream: StreamSettings) -> bool:
    """Standard input belongs to the driver, so such a stream is read there."""
    return any(isinstance(s, TextSettings) and s.path == "-" for s in stream.sources)
