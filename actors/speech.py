"""The lane beside ingest on which a stream's sound becomes words.

In real time a thread waits for the recogniser, never ingest: sound that finds the queue full
displaces the oldest, which is counted. Invariants: what leaves is in the order of its promise;
after the item that ends the text nothing follows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from actors.speech_kept import KeptRecogniser
from streaming.clock import NS_PER_MS
from streaming.errors import AttuneError
from streaming.health import Health, HealthKind
from streaming.mailbox import Delivery, Mailbox
from streaming.packets import AudioChunk, Modality, Packet, Progress, TextMessage
from streaming.sources.base import Item
from streaming.speech.recogniser import Heard, Outcome

log = logging.getLogger(__name__)

Deliver = Callable[[Sequence[Item]], None]


class SpeechLane:
    """Takes the packets of a stream, makes words of its sound, hands them to `deliver`.

    `oldest_ns`: the earliest time of words that still counts. `waiting`: how many chunks of sound
    wait at most; 0: none does, `hear` answers when the words are there.
    """

    def __init__(
        self,
        stream: str,
        recogniser: KeptRecogniser,
        deliver: Deliver,
        oldest_ns: Callable[[], int],
        waiting: int,
    ) -> None:
        self._stream, self._recogniser = stream, recogniser
        recogniser.tell = self._pass_on
        self._deliver, self._oldest_ns = deliver, oldest_ns
        self._missed, self._told = 0, 0
        self._seq = self._settled_ns = 0
        self._over = False
        self._mailbox: Mailbox[Packet] | None = None
        self._thread: threading.Thread | None = None
        if waiting:
            self._mailbox = Mailbox(waiting, Delivery.FRESHEST, on_drop=self._miss)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the recogniser's processes so far."""
        return self._recogniser.cpu_s

    def hear(self, item: Packet | Progress) -> None:
        """Take what is sound, and the end of it; the rest is passed over."""
        if item.modality is not Modality.AUDIO:
            return
        if isinstance(item, Packet):
            self._put(item)
        elif item.ended:
            self._end()

    def missed(self, now_ns: int) -> Health | None:
        """News of sound that nobody listened to, once; stream time."""
        count, self._told = self._missed - self._told, self._missed
        if not count:
            return None
        return self._health(
            HealthKind.DROP, now_ns, "speech to text fell behind: sound passed over", count
        )

    def finish(self, timeout_s: float) -> None:
        """Wait so long for the last words; then the recogniser is closed."""
        self._end()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if not self._over:
            self._give_up()
        self._recogniser.close()

    def close(self) -> None:
        """Release the recogniser of a stream that was never read."""
        self._recogniser.close()

    def _give_up(self) -> None:
        """End the text although sound waits for the recogniser."""
        waiting = 0 if self._mailbox is None else self._mailbox.counts().waiting
        if self._thread is not None and self._thread.is_alive():
            words = "the last words came too late: sound passed over"
            lost = self._health(HealthKind.DROP, self._settled_ns, words, waiting + 1)
            self._deliver([lost])
        self._finish_text()

    def _put(self, packet: Packet) -> None:
        if self._mailbox is None:
            self._guarded(partial(self._listen, packet))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="speech", daemon=True)
            self._thread.start()
        self._mailbox.put(packet)

    def _end(self) -> None:
        if self._mailbox is not None:
            self._mailbox.close()
        else:
            self._guarded(self._listen_out)

    def _run(self) -> None:
        assert self._mailbox is not None
        while not self._over and (packet := self._mailbox.take()) is not None:
            self._guarded(partial(self._listen, packet))
        self._guarded(self._listen_out)

    def _guarded(self, step: Callable[[], None]) -> None:
        """`step`, whose failure ends the words and nothing else."""
        if self._over:
            return
        try:
            step()
        except Exception as error:
            if self._over:  # closed while it was at work
                return
            if not isinstance(error, AttuneError):
                log.exception("stream %s: speech to text failed", self._stream)
            words = " ".join(str(error).split()) or type(error).__name__
            self._pass_on(HealthKind.SOURCE_LOST, self._settled_ns, words, 0)
            self._finish_text()

    def _pass_on(self, kind: HealthKind, t_ns: int, words: str, count: int) -> None:
        """What the recogniser has to say of itself."""
        if not self._over:
            self._deliver([self._health(kind, t_ns, f"speech to text: {words}", count)])

    def _listen(self, packet: Packet) -> None:
        chunk = packet.payload
        assert isinstance(chunk, AudioChunk)
        waits = self._mailbox is not None and self._mailbox.counts().waiting > 1
        mono = chunk.samples.mean(axis=1, dtype=chunk.samples.dtype)
        self._tell(self._recogniser.feed(packet.t_ns, mono, hurry=waits))

    def _listen_out(self) -> None:
        self._tell(self._recogniser.end())
        self._finish_text()

    def _finish_text(self) -> None:
        if not self._over:
            self._over = True
            self._deliver([self._progress(ended=True)])

    def _tell(self, outcome: Outcome) -> None:
        items = [item for heard in outcome.heard for item in self._words(heard)]
        self._settled_ns = max(self._settled_ns, outcome.settled_ns)
        self._deliver([*items, self._progress()])

    def _words(self, heard: Heard) -> list[Item]:
        """The packet, dated no earlier than a window can still show it."""
        t_ns = max(heard.start_ns, self._oldest_ns())
        items: list[Item] = []
        if t_ns > heard.start_ns and heard.is_final:
            late_ms = (t_ns - heard.start_ns) // NS_PER_MS
            words = f"words came too late; dated {late_ms} ms after they began"
            items.append(self._health(HealthKind.LATE, t_ns, words, 1))
        return [*items, self._packet(heard, t_ns)]

    def _packet(self, heard: Heard, t_ns: int) -> Packet:
        seq, self._seq = self._seq, self._seq + 1
        return Packet(
            stream=self._stream,
            modality=Modality.TEXT,
            seq=seq,
            t_ns=t_ns,
            duration_ns=max(heard.end_ns - t_ns, 0),
            payload=TextMessage(
                text=" ".join(word.text for word in heard.words),
                language=self._recogniser.language,
                is_final=heard.is_final,
                words=heard.words,
            ),
        )

    def _progress(self, *, ended: bool = False) -> Progress:
        return Progress(
            stream=self._stream, modality=Modality.TEXT, t_ns=self._settled_ns, ended=ended
        )

    def _miss(self, packet: Packet) -> None:
        self._missed += 1

    def _health(self, kind: HealthKind, t_ns: int, detail: str, count: int = 0) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=Modality.TEXT,
            t_ns=t_ns,
            count=count,
            detail=detail,
        )
