"""The nodes of the Ray cluster, and which part goes where.

Invariant: nothing is placed on a node that does not answer at this moment. Ray itself takes up to a
quarter of a minute to call a node dead.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ANSWER_S = 0.5
KILL_S = 3.0


@dataclass(frozen=True)
class Place:
    """A node. `name` as given to Ray, `host` its host name, `address` its IP address."""

    id: str
    name: str
    host: str
    address: str
    cpus: float = 0.0
    gpus: float = 0.0

    def is_called(self, name: str) -> bool:
        """Whether a configuration that says `name` means this node."""
        return name in (self.name, self.host, self.address)


def roomiest(places: Sequence[Place], taken: Collection[str]) -> Place | None:
    """The place with the fewest parts for each CPU. `taken`: place of each part that there is.

    Nodes without a CPU for Ray to give away, as heads often are, come last.
    """
    most = max((p.cpus for p in places), default=0.0)
    offered = [p for p in places if p.cpus] or list(places)
    ranked = {p.id: list(taken).count(p.id) / (p.cpus or most or 1.0) for p in offered}
    return min(offered, key=lambda p: ranked[p.id], default=None)


class Places:
    """The nodes of the cluster that this process has joined."""

    def __init__(self) -> None:
        self._here = ray.get_runtime_context().get_node_id()

    @property
    def here(self) -> Place:
        """The driver's node."""
        return next(p for p in self.alive() if p.id == self._here)

    def alive(self) -> list[Place]:
        """The nodes that answer: the driver's, then by name."""
        nodes = [node for node in ray.nodes() if node["Alive"]]
        nodes.sort(key=lambda node: (node["NodeID"] != self._here, node["NodeName"]))
        return [_place(n) for n in nodes if n["NodeID"] == self._here or _answers(n)]

    def called(self, name: str) -> Place | None:
        """The node of this name, if it answers."""
        return next((place for place in self.alive() if place.is_called(name)), None)

    def is_here(self, place: Place) -> bool:
        """Whether it is the driver's node."""
        return place.id == self._here

    def make(self, node: type, place: Place, *arguments: Any, gpus: float = 0) -> Any:
        """An actor there."""
        options = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": 4, **_at(place)}
        remote: Any = ray.remote(node)
        return remote.options(**options).remote(*arguments)

    def kill(self, place: Place, pid: int) -> None:
        """End a process at once, as far as its node answers; one that is stopped heeds no more."""
        if self.is_here(place):
            _kill(pid)
        elif any(p.id == place.id for p in self.alive()):
            remote: Any = ray.remote(_kill)
            ray.wait([remote.options(num_cpus=0, **_at(place)).remote(pid)], timeout=KILL_S)


def _at(place: Place) -> dict[str, Any]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(place.id, soft=False)}


def _place(node: dict[str, Any]) -> Place:
    resources = node["Resources"]
    return Place(
        id=node["NodeID"],
        name=node["NodeName"],
        host=node["NodeManagerHostname"],
        address=node["NodeManagerAddress"],
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
    )


def _answers(node: dict[str, Any]) -> bool:
    address = (node["NodeManagerAddress"], node["NodeManagerPort"])
    with suppress(OSError), socket.create_connection(address, timeout=ANSWER_S):
        return True
    return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
