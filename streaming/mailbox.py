"""A bounded mailbox between two threads, with a stated delivery policy and counted drops.

Invariant: put = taken + dropped + waiting, always. Sound and text use BLOCK, so that nothing is
lost and the producer waits; pictures use FRESHEST, so that the newest is always at hand.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Delivery(StrEnum):
    """What a full mailbox does with one more item."""

    BLOCK = "block"  # the producer waits
    FRESHEST = "freshest"  # the oldest waiting item that may be dropped is


class MailboxCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger of one mailbox."""

    put: int
    taken: int
    dropped: int
    waiting: int


class Mailbox(Generic[T]):
    """At most `capacity` waiting items (at least 1).

    `may_drop` says of an item whether FRESHEST may sacrifice it; items that may not be dropped
    make the producer wait as under BLOCK.
    """

    def __init__(
        self,
        capacity: int,
        delivery: Delivery = Delivery.BLOCK,
        may_drop: Callable[[T], bool] = lambda item: True,
        on_drop: Callable[[T], None] = lambda item: None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least 1 item, not {capacity}")
        self._capacity = capacity
        self._delivery = delivery
        self._may_drop = may_drop
        self._on_drop = on_drop
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._put = self._taken = self._dropped = 0
        self._closed = False

    def put(self, item: T, timeout_s: float | None = None) -> bool:
        """Leave `item`; False when the mailbox is closed or stayed full for `timeout_s`."""
        with self._changed:
            if len(self._items) >= self._capacity and self._delivery is Delivery.FRESHEST:
                self._sacrifice()
            has_room = self._changed.wait_for(
                lambda: self._closed or len(self._items) < self._capacity, timeout_s
            )
            if self._closed or not has_room:
                return False
            self._items.append(item)
            self._put += 1
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; None when closed and empty, or when none came in `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._taken += 1
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """No more puts; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._closed

    def counts(self) -> MailboxCounts:
        """The ledger now."""
        with self._changed:
            return MailboxCounts(
                put=self._put,
                taken=self._taken,
                dropped=self._dropped,
                waiting=len(self._items),
            )

    def _sacrifice(self) -> None:
        for place, item in enumerate(self._items):
            if self._may_drop(item):
                del self._items[place]
                self._dropped += 1
                self._on_drop(item)
                return
