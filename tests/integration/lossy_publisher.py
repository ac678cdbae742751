"""A publisher that leaves messages out, and what a subscriber got of it."""

from __future__ import annotations

import time

from attune.client import Delivery, Subscription
from streaming.health import Health, HealthKind
from streaming.results import Heartbeat
from streaming.sinks import Publisher, ZmqPublisher, open_replay
from streaming.wire import decode


def note(stream: str = "cam") -> Health:
    return Health(stream=stream, kind=HealthKind.GAP, t_ns=0, detail="x" * 500)


class Lossy(ZmqPublisher):
    """Does not send the messages whose number is in `lost`, as an overflowing queue would."""

    lost: frozenset[int] = frozenset()

    def send(self, topic, payload):
        message = decode(topic, payload)
        if isinstance(message, Heartbeat) or message.seq not in self.lost:
            super().send(topic, payload)


class Setup:
    def __init__(self, address: str, lost=(), **ring) -> None:
        self.sink = Lossy(address)
        self.sink.lost = frozenset(lost)
        self.server = open_replay(address, **{"span_s": 600, "max_bytes": 10**7, **ring})
        self.publisher = Publisher([self.server, self.sink], heartbeat_ms=1)

    def attach(self, subscription: Subscription) -> list:
        limit_s = time.monotonic() + 20
        items = []
        while not items:
            self.publisher.beat(time.monotonic_ns())
            items = subscription.receive(10)
            assert time.monotonic() < limit_s
        while came := subscription.receive(100):
            items += came
        return items


def seen(items):
    return [
        (i.message.seq, i.origin) if isinstance(i, Delivery) else (i.first, i.last)
        for i in items
        if not (isinstance(i, Delivery) and isinstance(i.message, Heartbeat))
    ]


def data(items):
    return [i for i in items if isinstance(i, Delivery) and not isinstance(i.message, Heartbeat)]


def drain(subscription):
    items = []
    while came := subscription.receive(500):
        items += came
    return items
