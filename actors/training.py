"""One training on several workers through Ray Train: the same recipe, nearly the same result.

Each worker computes gradients over its share of every batch, and the means over the workers are
the steps (see `models.train.workers`); the first worker measures and writes. All workers must see
the folders of data and run under the same paths.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from actors.ray_join import OBJECT_STORE_BYTES
from models.errors import ModelError, TrainingError
from models.threads import limit_threads
from models.train.engine import FIGURES, train
from models.train.recipe import Recipe, parse, to_tree


def train_on_workers(
    recipe: Recipe,
    data: Path,
    run: Path,
    cache: Path,
    *,
    workers: int,
    resume: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """`models.train.engine.train` by `workers` processes on CPUs; the same figures."""
    try:
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise TrainingError(
            "several workers need Ray Train: install attune[train]; or leave --workers out"
        ) from error
    scratch = tempfile.mkdtemp(prefix="attune-train-")
    places = {"data": data, "run": run, "cache": cache}
    work = {
        "recipe": to_tree(recipe),
        "resume": resume,
        "threads": threads or 1,
        **{name: str(path.resolve()) for name, path in places.items()},
    }
    own = not ray.is_initialized()  # else a cluster of several machines, joined by the caller
    if own:
        _start(workers)
    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config=work,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=False),
            run_config=RunConfig(storage_path=scratch, name="run"),
            torch_config=TorchConfig(backend="gloo"),
        )
        trainer.fit()
    except (
        RuntimeError,
        RayError,
        TrainingFailedError,
    ) as error:  # Ray wraps what the workers raise
        raise _cause(error) from error
    finally:
        if own:
            ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
    figures: dict[str, Any] = json.loads((run / FIGURES).read_text())
    return figures


def _start(workers: int) -> None:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)  # its notices are no news to a user
    ray.init(
        address="local",  # a cluster of its own, even where another one runs
        num_cpus=max(workers + 1, os.cpu_count() or 1),  # workers may outnumber cores, and be slow
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES,
        configure_logging=False,
    )


def _work(work: dict[str, Any]) -> None:
    """What each worker does; Ray has joined them before."""
    limit_threads(work["threads"])
    train(
        parse(work["recipe"], "recipe"),
        Path(work["data"]),
        Path(work["run"]),
        Path(work["cache"]),
        resume=work["resume"],
        device="cpu",
    )


def _cause(error: BaseException) -> ModelError:
    """What a worker complained of, if it did so on purpose."""
    seen = [error]
    for found in seen:
        if isinstance(found, ModelError):
            return found
        inner = [getattr(found, name, None) for name in ("__cause__", "cause", "_base_exc")]
        inner += list(getattr(found, "worker_failures", {}).values())
        seen += [e for e in inner if isinstance(e, BaseException) and e not in seen]
    last = (str(error).strip().splitlines() or [repr(error)])[-1]
    return TrainingError(f"a worker of the training died: {last}")
