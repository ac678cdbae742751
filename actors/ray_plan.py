"""Which parts a run has, what each begins with, and where it is placed.

The publisher and the aligner are on the driver's node: there the addresses and files of a
configuration are. The analyser is where a GPU is. Readers are on the node that a stream names, and
the others spread over all nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.accounts import Carried
from actors.node import DRIVER
from actors.nodes import AlignNode, InferNode, IngestNode, PublishNode
from actors.places import Place, Places, roomiest
from actors.ray_part import Made, Part
from actors.roster import Roster, is_free_reader, reader_name, reader_node
from actors.wires import Switchboard
from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.settings import AttuneSettings, StreamSettings
from streaming.source_settings import TextSettings

MOST_WORKERS = 2  # readers for each node, unless asked otherwise


class Plan:
    """Makes the parts. What it is given is looked into anew whenever a part is placed."""

    def __init__(
        self,
        settings: AttuneSettings,
        places: Places,
        board: Switchboard,
        roster: Roster,
        accounts: Mapping[str, Carried],
    ) -> None:
        self._settings, self._places, self._board = settings, places, board
        self._roster, self._accounts = roster, accounts
        self._parts: dict[str, Part] = {}

    def parts(self, shares: Mapping[str, Sequence[StreamSettings]]) -> dict[str, Part]:
        """The parts by name, each before the one that hands over to it."""
        roster, standby = self._roster, self._settings.pipeline.standby
        self._add("publish", lambda: (dict(roster.published), dict(roster.ended), roster.left_open))
        self._add("infer", lambda: (self._at("publish"), dict(roster.published)), standby=standby)
        self._add(
            "align",
            lambda: (
                self._at("infer"),
                dict(roster.published),
                dict(self._accounts),
                dict(roster.ended),
            ),
        )
        for name in shares:
            if name != DRIVER:
                self._add(name, lambda: (self._at("align"),))
        return self._parts

    def _add(self, name: str, arguments: Any, *, standby: bool = False) -> None:
        how = self._settings.pipeline
        make = {"publish": self._publish, "infer": self._infer, "align": self._align}.get(
            name, lambda turn: self._ingest(name, turn)
        )
        limits = (how.restarts, round(how.hang_s * NS_PER_S))
        self._parts[name] = Part(name, self._places, make, arguments, *limits, standby=standby)

    def _at(self, name: str) -> str:
        return self._parts[name].address

    def _publish(self, turn: int) -> Made:
        views = (self._board.view_address,)
        return self._make(PublishNode, self._places.here, "publish", turn, views)

    def _align(self, turn: int) -> Made:
        return self._make(AlignNode, self._places.here, "align", turn)

    def _infer(self, turn: int) -> Made | None:
        device, share = self._settings.model.device, 0.5 if self._settings.pipeline.standby else 1.0
        with_gpu = [p for p in self._places.alive() if p.gpus and device != "cpu"]
        if with_gpu:  # one that stands by is on another node, if two have a GPU
            place = with_gpu[turn % len(with_gpu)]
            return self._make(InferNode, place, "infer", turn, gpus=share)
        if turn and device == "cuda":
            return None  # its node is away
        return self._make(InferNode, self._places.here, "infer", turn)

    def _ingest(self, name: str, turn: int) -> Made | None:
        """A reader goes to the node that its streams name, or to the one with the most room."""
        node = reader_node(name)
        place = self._places.called(node) if node else self._free_place(name)
        if place is None:
            return None
        how = self._settings
        stays = bool(how.control.address or how.pipeline.address)
        return self._make(IngestNode, place, name, turn, self._roster.share(name), stays)

    def _free_place(self, name: str) -> Place | None:
        """The driver's node comes last: the publisher and the aligner are there."""
        others = [p for p in self._parts.values() if is_free_reader(p.name) and p.name != name]
        alive = sorted(self._places.alive(), key=self._places.is_here)
        return roomiest(alive, [part.place.id for part in others if part.place])

    def _make(
        self, node: type, place: Place, name: str, turn: int, *more: Any, gpus: float = 0
    ) -> Made:
        wires = self._board.wires(place.address, away=not self._places.is_here(place))
        made = self._places.make(node, place, self._settings, wires, name, turn, *more, gpus=gpus)
        return Made(made, place)


def shares(settings: AttuneSettings, places: Sequence[Place]) -> dict[str, list[StreamSettings]]:
    """Who reads which streams: standard input the driver, those that name a node the readers there,
    the rest readers that may be anywhere.

    Raises UsageError for a node that is not there.
    """
    own = [s for s in settings.streams if reads_stdin(s)]
    found: dict[str, list[StreamSettings]] = {DRIVER: own}
    there = [s for s in settings.streams if not reads_stdin(s)]
    for node in dict.fromkeys(s.node for s in there if s.node):
        tied = [s for s in there if s.node == node]
        workers = min(_workers(settings, [_named(node, tied[0], places)]), len(tied))
        found |= {reader_name(i, node): tied[i::workers] for i in range(workers)}
    free, workers = [s for s in there if not s.node], _workers(settings, places)
    if not (settings.control.address or settings.pipeline.address):  # nobody will add or move any
        workers = min(workers, len(free))
    return found | {reader_name(i): free[i::workers] for i in range(workers)}


def _workers(settings: AttuneSettings, places: Sequence[Place]) -> int:
    each = settings.pipeline.ingest_workers
    return max(sum(each or min(int(p.cpus), MOST_WORKERS) for p in places), 1)


def _named(node: str, stream: StreamSettings, places: Sequence[Place]) -> Place:
    for place in places:
        if place.is_called(node):
            return place
    known = ", ".join(p.name if p.name == p.address else f"{p.name} ({p.address})" for p in places)
    raise UsageError(
        f"stream {stream.name!r}: there is no node {node!r} in the cluster; there are: {known}. "
        "Give ray start --node-name there, or a host name or IP address here"
    )


def reads_stdin(stream: StreamSettings) -> bool:
    """Standard input belongs to the driver, so such a stream is read there."""
    return any(isinstance(s, TextSettings) and s.path == "-" for s in stream.sources)
