"""Ray is started for a run alone, or the run joins a cluster that asks for a token."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

import ray
from ray._private.authentication.authentication_token_setup import (
    AuthenticationMode,
    get_authentication_mode,
)
from ray._private.services import find_bootstrap_address
from ray.exceptions import RayError

from streaming.errors import PipelineError, UsageError

ANSWER_S = 3.0
OBJECT_STORE_BYTES = 80 * 2**20  # the least Ray takes; no payload goes through it


def find(address: str) -> tuple[str, str]:
    """The cluster that `address` means, which answers, and by what it is known.

    `auto` is the one that RAY_ADDRESS names, or that `ray start` wrote down last on this machine.
    Raises UsageError, PipelineError.
    """
    known_by = "--address"
    if address == "auto":
        named, written = os.environ.get("RAY_ADDRESS", ""), find_bootstrap_address(None)
        address, known_by = (named, "RAY_ADDRESS") if named else (written, "as ray start told here")
    if not address:
        raise PipelineError(
            "--address auto: no Ray cluster was started on this machine: start one by ray start "
            "--head, join one by ray start --address, or give HOST:PORT of its head"
        )
    _require_answer(address, known_by)
    return address, known_by


def join(address: str) -> None:
    """Join the cluster at `address`; empty: start Ray on this machine, for this process alone.

    Raises UsageError for an address that cannot be or a cluster that anybody could use,
    PipelineError where none answers.
    """
    # Actors without a GPU keep their view of the machine's; Ray warns that this will change.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray would give its workers niceness 15: a live run behind all else that the machine does.
    os.environ.setdefault("RAY_worker_niceness", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)  # its notices are no news to a user
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address:
        _join(find(address)[0], options)
    else:
        ray.init(
            address="local",  # a cluster of its own, even where another one runs
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **options,
        )
    _quiet()


def _join(address: str, options: dict[str, Any]) -> None:
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PipelineError(
            f"expected a Ray cluster at {address}, with a node on this machine and the token in "
            f"RAY_AUTH_TOKEN or ~/.ray/auth_token: {said}"
        ) from None
    tls = os.environ.get("RAY_USE_TLS", "0") == "1"
    if not tls and get_authentication_mode() != AuthenticationMode.TOKEN:
        raise UsageError(
            f"the Ray cluster at {address} asks for no token: whoever reaches it could run "
            "anything there. Make one by ray get-auth-token --generate, give it to all nodes, and "
            "set RAY_AUTH_MODE=token for ray start and for this"
        )


def _require_answer(address: str, known_by: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(
            f"{known_by} {address!r}: expected HOST:PORT of the head, such as 10.0.0.1:6379, or "
            "auto; the run itself is started on a node of the cluster"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise PipelineError(
            f"expected a Ray cluster at {address} ({known_by}), nobody answers there ({error}): "
            "start one by ray start --head, and see that the port is open"
        ) from None


def _quiet() -> None:
    """Keep Ray's long notices about lost workers off the terminal: Attune says it in a line."""
    worker: Any = ray._private.worker
    worker.print_to_stdstream = lambda data, ignore_prefix: None
