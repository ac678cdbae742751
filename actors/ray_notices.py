"""What the supervisor has published: news of streams, and figures of parts for the metrics."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from actors.link import PushLink
from actors.messages import Notice
from actors.pulse import Sign
from actors.roster import Roster
from streaming.clock import NS_PER_S, Clock
from streaming.figures import Figures
from streaming.health import Health, HealthKind
from streaming.keys import ClientKeys

FIGURES_NS = NS_PER_S  # how often metrics of the parts are served anew


class Notices:
    """Goes to the publisher that there is; what is to be said waits while there is none.

    `at_work`: whether there is one. `keys`: of the link to it.
    """

    def __init__(
        self, roster: Roster, clock: Clock, at_work: Callable[[], bool], keys: ClientKeys | None
    ) -> None:
        self._roster, self._clock, self._at_work, self._keys = roster, clock, at_work, keys
        self._link: PushLink | None = None
        self._unsaid: deque[Notice] = deque()
        self._figures_due: dict[str, int] = {}
        self._most_waiting: Counter[str] = Counter()

    def call(self, address: str) -> None:
        """The publisher takes notices at `address` from now on."""
        self.close()
        self._link = PushLink(address, self._keys, keeps=False)
        self._send()

    def close(self) -> None:
        """Say no more."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def say(self, stream: str, kind: HealthKind, detail: str, count: int = 0) -> None:
        """Have something published that the supervisor knows of a stream."""
        t_ns = self._roster.time_ns(stream, self._clock.now_ns())
        health = Health(stream=stream, kind=kind, t_ns=t_ns, count=count, detail=detail)
        self._unsaid.append(Notice(health))
        self._send()

    def measure(self, sign: Sign) -> None:
        """Have a part's figures served, once a second."""
        now_ns = self._clock.now_ns()
        most = self._most_waiting[sign.name] = max(self._most_waiting[sign.name], sign.waiting)
        if (
            self._link is None
            or not self._at_work()
            or now_ns < self._figures_due.get(sign.name, 0)
        ):
            return
        self._figures_due[sign.name] = now_ns + FIGURES_NS
        self._most_waiting[sign.name] = 0
        self._link.offer(Figures(part=sign.name, waiting=most, gpu=sign.gpu))

    def _send(self) -> None:
        while self._unsaid and self._link is not None and self._at_work():
            self._link.send(self._unsaid.popleft(), threading.Event())
