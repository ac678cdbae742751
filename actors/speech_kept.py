"""A recogniser that is started again when its process dies.

Invariants: sound is kept until what was said in it is settled, and heard again by the next process;
only what has brought down two of them is given up, and its span told of. What was promised as
settled stays so: nothing that is heard again begins before it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import msgspec

from actors.vitals import Vitals
from streaming.clock import NS_PER_S, Clock
from streaming.errors import PortLostError, SourceError
from streaming.health import HealthKind
from streaming.packets import Float32Array
from streaming.settings import AUDIO_RATE_HZ
from streaming.sources.backoff import next_delay_s
from streaming.speech.recogniser import Heard, Outcome, Recogniser
from streaming.speech.transcriber import LEAD_NS

Tell = Callable[[HealthKind, int, str, int], None]  # kind, stream time, words, count
Pause = Callable[[float], bool]
Sound = tuple[int, Float32Array]


class KeptRecogniser:
    """Obeys `Recogniser`. Opens at once; at most `restarts` times a minute again.

    `tell`: hears of losses and returns. `pause`: waits so many seconds; True when it was ended.
    `language`: of its words.
    """

    def __init__(
        self,
        open_recogniser: Callable[[], Recogniser],
        restarts: int,
        clock: Clock,
        pause: Pause | None = None,
        language: str = "",
    ) -> None:
        self.language = language
        self.tell: Tell = lambda *_: None
        self._open, self._clock = open_recogniser, clock
        self._most, self._vitals = restarts, Vitals(restarts, 0)
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._failures, self._spent_s = 0, 0.0
        self._unsettled: deque[Sound] = deque()
        self._settled_ns = self._final_ns = 0
        self._inner = open_recogniser()

    @property
    def cpu_s(self) -> float:
        """As `Recogniser.cpu_s`, of all processes so far."""
        return self._spent_s + self._inner.cpu_s

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        """As `Recogniser.feed`."""
        self._unsettled.append((t_ns, samples))
        try:
            return self._noted(self._inner.feed(t_ns, samples, hurry=hurry))
        except PortLostError as loss:
            return self._noted(self._again(loss))

    def end(self) -> Outcome:
        """As `Recogniser.end`."""
        try:
            return self._noted(self._inner.end())
        except PortLostError as loss:
            return self._noted(self._again(loss, ending=True))

    def close(self) -> None:
        """As `Recogniser.close`."""
        self._closed.set()
        self._inner.close()

    def _again(self, loss: PortLostError, *, ending: bool = False) -> Outcome:
        """What the next process makes of the sound that is not settled."""
        held = self._held()
        heard_ns = max(map(_end_ns, held), default=self._settled_ns)
        self._reopen(loss, f"the sound from {_span(held)} is heard again")
        try:
            outcomes = [self._inner.feed(*sound, hurry=True) for sound in held]
            outcome = _joined(outcomes + ([self._inner.end()] if ending else []))
        except PortLostError as second:
            self._reopen(second, f"the words from {_span(held)} are lost", len(held))
            outcome = Outcome(settled_ns=heard_ns)
        self.tell(HealthKind.RECOVERED, heard_ns, "it is there again", 0)
        return outcome

    def _reopen(self, loss: SourceError, what: str, count: int = 0) -> None:
        """Begin with a new process; `SourceError` when that was too often."""
        self._spent_s += self._inner.cpu_s
        self._inner.close()
        from_ns = next((t_ns for t_ns, _ in self._held()), self._settled_ns)
        while True:
            if not self._vitals.may_restart(self._clock.now_ns()):
                often = f" more than {self._most} times in a minute" if self._most else ""
                lost = f"the words from {_span(self._held())} are lost"
                raise SourceError(f"{loss}{often}; {lost}, and there are no more on this stream")
            self._failures += 1
            wait_s = next_delay_s(self._failures)
            words = f"{loss}; started again in {wait_s:g} s, {what}"
            self.tell(HealthKind.SOURCE_LOST, from_ns, words, count)
            if self._pause(wait_s):
                raise SourceError(f"{loss}; the stream is ending")
            try:
                self._inner = self._open()
            except SourceError as error:
                loss, count = error, 0
                continue
            if self._closed.is_set():
                self._inner.close()
            return

    def _held(self) -> list[Sound]:
        """The sound in which what is not settled was said, from before it was sure to be speech."""
        from_ns = max(self._settled_ns - LEAD_NS, self._final_ns)
        return [_from(sound, from_ns) for sound in self._unsettled if _end_ns(sound) > from_ns]

    def _noted(self, outcome: Outcome) -> Outcome:
        """The outcome as promises allow it; sound that is settled by it is forgotten."""
        heard = tuple(_no_earlier(h, self._settled_ns) for h in outcome.heard)
        self._settled_ns = max(self._settled_ns, outcome.settled_ns)
        self._final_ns = max([h.end_ns for h in heard if h.is_final], default=self._final_ns)
        while self._unsettled and _end_ns(self._unsettled[0]) <= self._settled_ns - LEAD_NS:
            self._unsettled.popleft()
        return Outcome(heard=heard, settled_ns=self._settled_ns)


def _joined(outcomes: list[Outcome]) -> Outcome:
    return Outcome(
        heard=tuple(heard for outcome in outcomes for heard in outcome.heard),
        settled_ns=max((outcome.settled_ns for outcome in outcomes), default=0),
    )


def _no_earlier(heard: Heard, t_ns: int) -> Heard:
    start_ns = max(heard.start_ns, t_ns)
    return msgspec.structs.replace(heard, start_ns=start_ns, end_ns=max(heard.end_ns, start_ns))


def _from(sound: Sound, t_ns: int) -> Sound:
    """What comes of `sound` from `t_ns` on."""
    start_ns, samples = sound
    skipped = max((t_ns - start_ns) * AUDIO_RATE_HZ // NS_PER_S, 0)
    return start_ns + skipped * NS_PER_S // AUDIO_RATE_HZ, samples[skipped:]


def _end_ns(sound: Sound) -> int:
    return sound[0] + len(sound[1]) * NS_PER_S // AUDIO_RATE_HZ


def _span(held: list[Sound]) -> str:
    first_ns, last_ns = (held[0][0], _end_ns(held[-1])) if held else (0, 0)
    return f"{first_ns / NS_PER_S:.2f} to {last_ns / NS_PER_S:.2f} s"
