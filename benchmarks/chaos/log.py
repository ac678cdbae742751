"""What one subscriber got, and what it was told that it missed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from attune.client import Delivery, Garbled, Item, subscribe
from streaming.health import HealthKind
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.results import Health, Heartbeat, Result
from streaming.wire import decode, parse_json_line

GOOD = 0.9  # coverage of at least one modality

Number = tuple[int, str, int]  # epoch, stream, seq


@dataclass
class Log:
    """Of one subscriber, with the session time at which each came."""

    results: list[tuple[float, Result]] = field(default_factory=list)
    health: list[tuple[float, Health]] = field(default_factory=list)
    epochs: list[tuple[float, int]] = field(default_factory=list)
    numbers: set[Number] = field(default_factory=set)
    gone: list[Hole] = field(default_factory=list)
    ends_lost: dict[tuple[int, str], int] = field(default_factory=dict)
    beats: int = 0
    mended: int = 0
    twice: int = 0
    garbled: int = 0

    def take(self, item: Item) -> None:
        """Note one item."""
        now_s = time.monotonic()
        match item:
            case Delivery(message=Heartbeat()):
                self.beats += 1
            case Delivery(origin="concluded"):
                pass  # not a message of the publisher's
            case Delivery(message=message):
                self._count(item, (message.epoch, message.stream, message.seq))
                if isinstance(message, Result):
                    self.results.append((now_s, message))
                elif isinstance(message, Health):
                    self.health.append((now_s, message))
            case Hole():
                self.gone.append(item)
            case LostEnd(epoch=epoch, stream=stream, first=seq):
                self.ends_lost[epoch, stream] = seq
            case NewEpoch():
                self.epochs.append((now_s, item.epoch))
            case Garbled():
                self.garbled += 1

    def _count(self, item: Delivery, number: Number) -> None:
        self.twice += number in self.numbers
        self.mended += item.origin == "mended"
        self.numbers.add(number)

    def listen(self, address: str, keys: Path | None = None) -> None:
        """Subscribe in a thread of its own, for as long as the process lives."""
        threading.Thread(target=self._listen, args=(address, keys), daemon=True).start()

    def _listen(self, address: str, keys: Path | None) -> None:
        for item in subscribe(address, keys=keys):
            self.take(item)

    def restarted_s(self, since_s: float) -> float | None:
        """When a restart was told of, after `since_s`."""
        return next(
            (
                t - since_s
                for t, h in list(self.health)
                if t > since_s and h.kind is HealthKind.RESTARTED
            ),
            None,
        )

    def new_epoch_s(self, since_s: float) -> float | None:
        """When a new epoch was seen, after `since_s`."""
        return next((t - since_s for t, _ in list(self.epochs) if t > since_s), None)

    def missing(self) -> int:
        """Windows between the first and the last of a stream that never came."""
        seen: dict[str, set[int]] = {}
        for _, result in list(self.results):
            seen.setdefault(result.stream, set()).add(result.index)
        return sum(max(found) - min(found) + 1 - len(found) for found in seen.values())

    def told(self) -> int:
        """Windows that the pipeline itself has said are missing."""
        return sum(
            h.count for _, h in list(self.health) if h.kind is HealthKind.GAP and h.modality is None
        )

    def silence_s(self, since_s: float, *, good: bool = True) -> float | None:
        """The longest time after `since_s` in which one of the streams had no (good) result."""
        silences = []
        results = list(self.results)
        for stream in {r.stream for _, r in results}:
            came = [
                t
                for t, r in results
                if t > since_s and r.stream == stream and (not good or is_good(r))
            ]
            silences += [b - a for a, b in pairwise([since_s, *came, time.monotonic()])]
        return max(silences, default=None)

    def undetected(self, truth: set[Number]) -> int:
        """Messages that were published after the first one here, and neither came nor were told to
        be missing, for certain or perhaps."""
        first = {
            (epoch, stream): min(s for e, n, s in self.numbers if (e, n) == (epoch, stream))
            for epoch, stream, _ in self.numbers
        }
        told = {(h.epoch, h.stream, seq) for h in self.gone for seq in range(h.first, h.last + 1)}
        return sum(
            (epoch, stream) in first
            and first[epoch, stream] < seq < self.ends_lost.get((epoch, stream), seq + 1)
            for epoch, stream, seq in truth - self.numbers - told
        )


def is_good(result: Result) -> bool:
    """Whether one modality is as good as whole."""
    return any(receipt.coverage >= GOOD for receipt in result.modalities.values())


def published(path: Path) -> set[Number]:
    """What the pipeline wrote that it published."""
    numbers = set()
    for line in path.read_bytes().splitlines():
        message = decode(*parse_json_line(line))
        if not isinstance(message, Heartbeat):
            numbers.add((message.epoch, message.stream, message.seq))
    return numbers
