"""Words that programs send: over ZeroMQ or WebSockets.

Invariants: a message is a packet or counted in a `Health`, never neither nor both; a connection
that goes is told of once, tried again with growing pauses, and told of when it is back. With
`late_ms` the source promises that much less than now, and words count when they were said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from streaming.clock import NS_PER_MS, Clock, SystemClock
from streaming.errors import PortLostError, SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress, TextMessage
from streaming.source_settings import TextSettings
from streaming.sources.base import Item
from streaming.sources.far_clock import FarClock
from streaming.sources.kept_port import KeptPort
from streaming.sources.text_address import TextAddress, Way, parse_address
from streaming.sources.text_message import Dated, LiveText, dated, read_message, stated
from streaming.sources.text_port import Arrival, TextPort
from streaming.sources.text_refusals import Rate, Refusals

POLL_S = 0.1


class TextFeed:
    """Words from the address in `settings`, or from whatever `open_port` opens."""

    modalities: tuple[Modality, ...] = (Modality.TEXT,)
    live = True

    def __init__(
        self,
        settings: TextSettings,
        *,
        stream: str,
        clock: Clock | None = None,
        unix_ns: Callable[[], int] = time.time_ns,
        open_port: Callable[[], TextPort] | None = None,
        far: FarClock | None = None,
    ) -> None:
        address = parse_address(settings)
        clock = clock or SystemClock()
        self._settings, self._stream, self._clock = settings, stream, clock
        self._name, self._unix_ns = address.name, unix_ns
        self._late_ns = round(settings.late_ms * NS_PER_MS)
        self.ordered = self._late_ns == 0
        self._rate, self._refusals = Rate(settings.max_per_s), Refusals()
        self._stop = threading.Event()
        self._seq, self._promised_ns, self._begun = 0, 0, False
        self._kept: KeptPort[TextPort] = KeptPort(
            open_port or (lambda: _open_port(address, settings, clock)), clock
        )
        self._far = far or self._open_clock()

    def items(self) -> Iterator[Item]:
        """Words until `close` is called."""
        self._begun = True
        try:
            yield from self._guarded(self._begin)
            while not self._stop.is_set():
                yield from self._guarded(self._step)
            yield from self._refused(None)
        finally:
            self._close_ports()
        now_ns = self._clock.now_ns()
        yield Progress(stream=self._stream, modality=Modality.TEXT, t_ns=now_ns, ended=True)

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()
        if not self._begun:
            self._close_ports()

    def _open_clock(self) -> FarClock | None:
        if not self._settings.clock:
            return None
        from streaming.sources.zmq_far_clock import AskedClock

        try:
            return AskedClock(self._settings.clock, self._settings.clock_keys, self._clock)
        except SourceError:
            self._kept.close()
            raise

    def _close_ports(self) -> None:
        self._kept.close()
        if self._far is not None:
            self._far.close()

    def _guarded(self, step: Callable[[], list[Item]]) -> list[Item]:
        """What `step` gives, or the news that the connection is gone; and what is due anyway."""
        try:
            items = step()
        except PortLostError as error:
            words = f"{self._name}: {error}; it will be tried again"
            items = [self._health(HealthKind.SOURCE_LOST, words)] if self._kept.lose() else []
        now_ns = self._clock.now_ns()
        return [*items, *self._promise(now_ns), *self._refused(now_ns), *self._clock_news()]

    def _begin(self) -> list[Item]:
        self._kept.start()
        return []

    def _step(self) -> list[Item]:
        """One message, or one look at what became of the connection."""
        port = self._kept.port
        if port is None:
            self._kept.reopen(self._stop)
            return []
        arrival = port.read(POLL_S)
        items: list[Item] = []
        if self._kept.heard():  # an open connection lives, also while nobody says anything
            items.append(self._health(HealthKind.RECOVERED, f"{self._name} is there again"))
        return items + ([] if arrival is None else self._take(arrival))

    def _take(self, arrival: Arrival) -> list[Item]:
        if arrival.fault:
            return self._refuse(arrival, HealthKind.CORRUPT, arrival.fault)
        if not self._rate.admits(arrival.arrival_ns):
            most = f"more than {self._settings.max_per_s:g} messages a second"
            return self._refuse(arrival, HealthKind.DROP, most)
        found = read_message(arrival.data)
        if isinstance(found, str):
            return self._refuse(arrival, HealthKind.CORRUPT, f"a message {found}")
        said = stated(found, self._wall_ahead_ns(), self._far)
        when = dated(said, arrival.arrival_ns, self._late_ns)
        if isinstance(when, str):
            return self._refuse(arrival, HealthKind.CORRUPT, f"a message {when}")
        arrival.answer("")
        return [*self._doubts(when), self._packet(found, when)]

    def _wall_ahead_ns(self) -> int:
        return self._unix_ns() - self._clock.now_ns()

    def _refuse(self, arrival: Arrival, kind: HealthKind, reason: str) -> list[Item]:
        self._refusals.add(kind, reason)
        arrival.answer(reason)
        return []

    def _doubts(self, when: Dated) -> list[Item]:
        """What is to be said of a time that could not be used; the words count all the same."""
        if when.absurd and self._far is not None:
            self._far.doubt()
        if when.absurd:
            words = "words state a time that cannot be; dated when they came"
            return [self._health(HealthKind.CLOCK_JUMP, f"{self._name}: {words}", 1)]
        if when.late:
            words = f"words came over {self._settings.late_ms:g} ms late; dated that much back"
            return [self._health(HealthKind.LATE, f"{self._name}: {words}", 1)]
        return []

    def _packet(self, found: LiveText, when: Dated) -> Packet:
        seq, self._seq = self._seq, self._seq + 1
        return Packet(
            stream=self._stream,
            modality=Modality.TEXT,
            seq=seq,
            t_ns=max(when.t_ns, self._promised_ns),
            duration_ns=when.duration_ns,
            uncertainty_ns=when.uncertainty_ns,
            payload=TextMessage(
                text=found.text.strip(),
                language=found.language or self._settings.language,
                speaker=found.speaker or self._settings.speaker,
                is_final=found.is_final,
            ),
        )

    def _promise(self, now_ns: int) -> list[Item]:
        """That nothing older than `late_ms` will come; without it ingest promises up to now."""
        if self.ordered:
            return []
        self._promised_ns = max(now_ns - self._late_ns, 0)
        t_ns = self._promised_ns
        return [Progress(stream=self._stream, modality=Modality.TEXT, t_ns=t_ns)]

    def _clock_news(self) -> list[Item]:
        news = [] if self._far is None else self._far.news()
        return [self._health(kind, f"{self._name}: {words}") for kind, words in news]

    def _refused(self, now_ns: int | None) -> list[Item]:
        return [
            self._health(kind, f"{self._name}: {reason}", count)
            for kind, count, reason in self._refusals.due(now_ns)
        ]

    def _health(self, kind: HealthKind, detail: str, count: int = 0) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=Modality.TEXT,
            t_ns=self._clock.now_ns(),
            count=count,
            detail=detail,
        )


def _open_port(address: TextAddress, settings: TextSettings, clock: Clock) -> TextPort:
    if address.way is Way.LISTEN:
        from streaming.sources.websocket_listen_port import ListenPort

        return ListenPort(address, settings, clock)
    if address.way is Way.WEBSOCKET:
        from streaming.sources.websocket_text_port import WebSocketPort

        return WebSocketPort(address, clock)
    from streaming.sources.zmq_text_port import PullPort, SubPort

    return (PullPort if address.way is Way.PULL else SubPort)(address, settings.keys, clock)
