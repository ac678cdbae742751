"""Joining publishers into one: what each item that a subscriber gets becomes downstream.

Pure but for the publisher it is given: items and the time in. Invariants: every message of an
upstream is published once, in its stream's order, with the way it came (`forwarded`), or told of by
a health message of its stream; a message without `forwarded` is the forwarder's own word. A stream
belongs to the upstream that was first to publish it. What is remembered is bounded for each
upstream, whatever it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from attune.client import Delivery, Garbled, Item
from streaming.clock import NS_PER_S
from streaming.errors import SinkError, WireError
from streaming.figures import UpstreamFigures
from streaming.forward_settings import ForwardSettings, UpstreamSettings
from streaming.health import Health, HealthKind, Hop
from streaming.holes import Hole, LostEnd, NewEpoch, Standing
from streaming.results import Event, Heartbeat, Result
from streaming.sinks import Publisher

LONGEST_NAME = 64
MOST_HOPS = 8
MOST_KINDS = 100  # of a stream's events; of each kind one is open at a time
MOST_REFUSALS = 1000  # that are told of, for each upstream


class Place(msgspec.Struct, kw_only=True):
    """How far the forwarding of one upstream has come, and which of its streams had ended, or were
    silent all the time."""

    epoch: int = 0
    last_seq: dict[str, int] = {}
    ended: set[str] = set()

    @property
    def standing(self) -> Standing:
        """The same for the subscriber that is to go on from here."""
        return Standing(epoch=self.epoch, last_seq=self.last_seq)


class _Stream:
    """A stream as it goes out. `t_ns`: how far its own time line has come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = self.seq = self.t_ns = 0
        self.ended = self.lost = False
        self.kinds: set[str] = set()  # of its events
        self.garbled = 0


class _Upstream:
    """What is known of one upstream."""

    def __init__(self, settings: UpstreamSettings, now_ns: int) -> None:
        self.label = settings.label
        self.prefix = f"{settings.name}." if settings.name else ""
        self.most_streams = settings.max_streams
        self.figures = UpstreamFigures(upstream=self.label)
        self.streams: dict[str, _Stream] = {}
        self.refused: set[str] = set()
        self.epoch = 0
        self.last_seq: dict[str, int] = {}  # as its last heartbeat said: come, or told of
        self.heard_ns = now_ns
        self.away = False


class Forwarder:
    """Publishes what `settings.upstreams` publish. `places`: of each, where an earlier forwarder
    stood; `say`: takes one line for the operator. Not for two threads at once."""

    def __init__(
        self,
        settings: ForwardSettings,
        publisher: Publisher,
        now_ns: int,
        *,
        places: Mapping[str, Place] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publisher, self._say = publisher, say
        self._away_ns = round(settings.away_s * NS_PER_S)
        self._upstreams = [_Upstream(one, now_ns) for one in settings.upstreams]
        self._owners: dict[str, _Upstream] = {}
        self._next_second_ns = now_ns
        self.failures: list[str] = []
        for event in publisher.left_open():
            self._publish(event)
        for up in self._upstreams:
            self._remember(up, (places or {}).get(up.label, Place()))

    @property
    def figures(self) -> list[UpstreamFigures]:
        """Counts of each upstream, which go on."""
        return [up.figures for up in self._upstreams]

    def places(self) -> dict[str, Place]:
        """Where the forwarding stands."""
        found = {}
        for up in self._upstreams:
            current = {n: s for n, s in up.streams.items() if s.epoch == up.epoch}
            last_seq = dict(up.last_seq)
            for name, stream in current.items():
                last_seq[name] = max(stream.seq, last_seq.get(name, 0))
            going_on = {name for name, stream in current.items() if not stream.ended}
            found[up.label] = Place(
                epoch=up.epoch, last_seq=last_seq, ended=set(last_seq) - going_on
            )
        return found

    def take(self, index: int, item: Item, now_ns: int) -> None:
        """One item of the upstream with this index."""
        up = self._upstreams[index]
        self._hear(up, now_ns)
        match item:
            case Delivery(message=Heartbeat(epoch=epoch, last_seq=last_seq)):
                up.epoch, up.last_seq = epoch, last_seq
            case Delivery(message=Event() as event, origin="concluded"):
                self._conclude(up, event)
            case Delivery():
                self._forward(up, item)
            case Hole():
                self._miss(up, item)
            case LostEnd():
                self._doubt(up, item)
            case NewEpoch(epoch=epoch):
                self._turn_all(up, epoch)
            case Garbled():
                self._count_garbled(up, item)

    def tick(self, now_ns: int) -> None:
        """What the passing of time asks for: heartbeats, and word of who is away."""
        self._try(lambda: self._publisher.beat(now_ns))
        for up in self._upstreams:
            if not up.away and now_ns - up.heard_ns > self._away_ns:
                self._lose(up)
        for works, detail in self._publisher.news():
            kind = HealthKind.RECOVERED if works else HealthKind.SINK_FAILED
            for up in self._upstreams:
                for stream in up.streams.values():
                    self._tell(stream, kind, detail)
        if now_ns >= self._next_second_ns:
            self._next_second_ns = now_ns + NS_PER_S
            self._tell_garbled()

    def close(self) -> None:
        """Tell the last numbers and close the sinks."""
        self._tell_garbled()
        self._try(self._publisher.close)

    def _remember(self, up: _Upstream, place: Place) -> None:
        up.epoch = place.epoch
        for name, seq in place.last_seq.items():
            stream = self._stream(up, name)
            if stream is not None:
                stream.epoch, stream.seq = place.epoch, seq
                stream.ended = name in place.ended

    def _hear(self, up: _Upstream, now_ns: int) -> None:
        up.heard_ns = now_ns
        if up.figures.up:
            return
        up.figures.up, up.away = True, False
        self._say(f"{up.label}: heard")
        for stream in up.streams.values():
            if stream.lost:
                stream.lost = False
                self._tell(stream, HealthKind.RECOVERED, f"{up.label} is heard again")

    def _lose(self, up: _Upstream) -> None:
        up.away, up.figures.up = True, False
        detail = f"nothing came from {up.label} for {self._away_ns / NS_PER_S:g} s"
        self._say(detail)
        for stream in up.streams.values():
            if not stream.ended:
                stream.lost = True
                self._tell(stream, HealthKind.SOURCE_LOST, detail)

    def _forward(self, up: _Upstream, delivery: Delivery) -> None:
        """Publish one message under its name here, with one more hop on its way."""
        message = delivery.message
        assert not isinstance(message, Heartbeat)
        stream = self._stream(up, message.stream)
        if stream is None or not self._can_take(up, stream, message):
            up.figures.refused += 1
            return
        if message.epoch != stream.epoch:
            self._turn(up, stream, message.epoch)
        if message.seq <= stream.seq and delivery.origin != "latest":
            return  # it came before
        hop = Hop(
            publisher=up.label,
            stream=message.stream,
            epoch=message.epoch,
            seq=message.seq,
            published_unix_ns=message.timing.published_unix_ns,
        )
        way = (*(message.forwarded or ()), hop)
        stream.seq = max(stream.seq, message.seq)
        self._note(stream, message)
        said = msgspec.structs.replace(message, stream=stream.name, forwarded=way)
        if self._publish(said):
            up.figures.forwarded += 1
            up.figures.mended += delivery.origin == "mended"
        else:
            up.figures.gone += 1
            self._tell(stream, HealthKind.GAP, "with its way it is too large to be sent", count=1)

    def _conclude(self, up: _Upstream, event: Event) -> None:
        """The end of an event that nobody sent, but which is certain."""
        stream = up.streams.get(event.stream)
        if stream is not None:
            self._publish(msgspec.structs.replace(event, stream=stream.name))

    def _can_take(self, up: _Upstream, stream: _Stream, message: Result | Event | Health) -> bool:
        way = message.forwarded or ()
        epochs = {message.epoch, *(hop.epoch for hop in way)}
        if len(way) >= MOST_HOPS or self._publisher.epoch in epochs:
            return self._refuse(up, stream.name, "it goes round, or over too many forwarders")
        if isinstance(message, Event) and message.kind not in stream.kinds:
            if len(stream.kinds) >= MOST_KINDS:
                return self._refuse(up, stream.name, f"more than {MOST_KINDS} kinds of events")
            stream.kinds.add(message.kind)
        return True

    def _note(self, stream: _Stream, message: Result | Event | Health) -> None:
        """Bring what is known of a stream up to date."""
        stream.ended = False
        match message:
            case Result(end_ns=t_ns):
                stream.t_ns = max(stream.t_ns, t_ns)
            case Health(t_ns=t_ns, kind=kind):
                stream.t_ns = max(stream.t_ns, t_ns)
                stream.ended = kind is HealthKind.STREAM_ENDED

    def _miss(self, up: _Upstream, hole: Hole) -> None:
        stream = self._stream(up, hole.stream)
        up.figures.gone += hole.count
        if stream is None:
            return
        if hole.epoch != stream.epoch:
            self._turn(up, stream, hole.epoch)
        stream.seq = max(stream.seq, hole.last)
        span = str(hole.first) if hole.count == 1 else f"{hole.first} to {hole.last}"
        detail = f"messages {span} of {up.label} (epoch {hole.epoch}) are gone for good"
        self._tell(stream, HealthKind.GAP, detail, count=hole.count)

    def _doubt(self, up: _Upstream, end: LostEnd) -> None:
        """Nobody knows whether a stream of an epoch that is over went on."""
        stream = up.streams.get(end.stream)
        if stream is None:
            self._say(f"{up.label}: not known whether other streams had begun in {end.epoch}")
        elif not stream.ended:
            detail = f"not known what {up.label} sent from {end.first} on (epoch {end.epoch})"
            self._tell(stream, HealthKind.GAP, detail)

    def _turn_all(self, up: _Upstream, epoch: int) -> None:
        up.epoch, up.last_seq = epoch, {}
        for stream in up.streams.values():
            if not stream.ended and stream.epoch != epoch:
                self._turn(up, stream, epoch)

    def _turn(self, up: _Upstream, stream: _Stream, epoch: int) -> None:
        """A stream is published anew, and its time line begins again."""
        if stream.epoch:
            detail = f"{up.label} was started anew: what comes now is of its epoch {epoch}"
            self._tell(stream, HealthKind.RESTARTED, detail)
        stream.epoch, stream.seq, stream.t_ns, stream.ended = epoch, 0, 0, False

    def _count_garbled(self, up: _Upstream, item: Garbled) -> None:
        if not up.figures.garbled:
            self._say(f"{up.label}: {item.reason}")
        up.figures.garbled += 1
        parts = item.topic.decode("ascii", "replace").split("/")
        stream = up.streams.get(parts[1]) if len(parts) > 1 else None
        if stream is not None:
            stream.garbled += 1

    def _tell_garbled(self) -> None:
        for up in self._upstreams:
            for stream in up.streams.values():
                if stream.garbled:
                    detail = f"messages of {up.label} that cannot be read"
                    self._tell(stream, HealthKind.CORRUPT, detail, count=stream.garbled)
                    stream.garbled = 0

    def _stream(self, up: _Upstream, name: str) -> _Stream | None:
        """The stream that goes out for `name`; None where it may not."""
        found = up.streams.get(name)
        if found is not None:
            return found
        out = up.prefix + name
        owner = self._owners.get(out)
        if owner is not None:
            self._refuse_clash(up, out, owner)
        elif len(out) > LONGEST_NAME:
            self._refuse(up, out, f"with the prefix its name is longer than {LONGEST_NAME}")
        elif len(up.streams) >= up.most_streams:
            self._refuse(up, out, f"expected at most {up.most_streams} streams (max_streams)")
        else:
            self._owners[out] = up
            return up.streams.setdefault(name, _Stream(out))
        return None

    def _refuse_clash(self, up: _Upstream, out: str, owner: _Upstream) -> None:
        first = out not in up.refused
        detail = (
            f"{owner.label} was first to publish it; what {up.label} publishes under that name is"
            f" refused: give one of them a name of its own, NAME={up.label}"
        )
        self._refuse(up, out, detail)
        if first and out in up.refused:
            self._tell(owner.streams[out.removeprefix(owner.prefix)], HealthKind.DROP, detail)

    def _refuse(self, up: _Upstream, out: str, why: str) -> bool:
        """Say once why a stream is not taken; always False."""
        if out not in up.refused and len(up.refused) < MOST_REFUSALS:
            up.refused.add(out)
            self._say(f"stream {out} of {up.label} is refused: {why}")
        return False

    def _tell(self, stream: _Stream, kind: HealthKind, detail: str, count: int = 0) -> None:
        """A word of the forwarder's own."""
        health = Health(stream=stream.name, kind=kind, t_ns=stream.t_ns, count=count, detail=detail)
        self._publish(health)

    def _publish(self, message: Result | Event | Health) -> bool:
        """Whether the message could be sent; it can, unless it is too large."""
        try:
            failure = self._try(lambda: self._publisher.publish(message))
        except WireError as error:
            self._say(str(error))
            return False
        if failure:
            t_ns = message.t_ns if isinstance(message, Health) else message.start_ns
            kind = HealthKind.SINK_FAILED
            self._publish(Health(stream=message.stream, kind=kind, t_ns=t_ns, detail=failure))
        return True

    def _try(self, act: Callable[[], object]) -> str:
        """What went wrong with a sink, which the publisher leaves out from then on."""
        try:
            act()
        except SinkError as error:
            self.failures.append(str(error))
            self._say(str(error))
            return str(error)
        return ""
