"""What a person sees while a run goes on: a live view on a terminal, a few lines elsewhere.

Inline, the display is one more sink. On Ray it subscribes to the publisher like anybody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console, RenderableType
from rich.live import Live

from attune.client import Delivery, subscribe
from attune.view import LiveView
from streaming.results import Health, HealthKind, Message
from streaming.settings import AttuneSettings
from streaming.wire import decode

REFRESH_HZ = 8
FOLLOW_S = 2.0  # how long the last messages may take to come


class Display:
    """Feeds every message to the view and to `on_message`."""

    live = False

    def __init__(
        self,
        console: Console,
        settings: AttuneSettings,
        on_message: Callable[[Message], None] | None = None,
    ) -> None:
        self._console = console
        self._view = LiveView()
        self._on_message = on_message
        self._lock = threading.Lock()
        self._address, self._control = settings.output.publish, settings.control.address
        self._streams = [s.name for s in settings.streams]
        self._stop_following = threading.Event()

    def send(self, topic: bytes, payload: bytes) -> None:
        """Take one message, as a sink does."""
        self._feed(decode(topic, payload))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to let go of."""

    def status(self, text: str) -> AbstractContextManager[object]:
        """Show on a terminal what is being waited for."""
        if self._console.is_terminal:
            return self._console.status(text)
        return nullcontext()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the live view while the block runs."""
        if self._address:
            self._console.print(f"publishing on {self._address}", highlight=False)
        if self._control:
            self._console.print(f"taking commands on {self._control}", highlight=False)
        if not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=REFRESH_HZ,
            transient=False,
        ):
            yield

    @contextmanager
    def following(self, address: str) -> Iterator[None]:
        """Subscribe to `address` while the block runs."""
        wanted = self._console.is_terminal or self._on_message is not None
        if not wanted:
            yield
            return
        thread = threading.Thread(target=self._follow, args=(address,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(timeout=FOLLOW_S)
            self._stop_following.set()
            thread.join(timeout=FOLLOW_S)

    def _follow(self, address: str) -> None:
        running = set(self._streams)
        for item in subscribe(address, stop=self._stop_following):
            if not isinstance(item, Delivery):
                continue
            self._feed(item.message)
            if isinstance(item.message, Health) and item.message.kind is HealthKind.STREAM_ENDED:
                running.discard(item.message.stream)
            if not running and not self._control:
                return

    def _feed(self, message: Message) -> None:
        with self._lock:
            self._view.feed(message)
        if self._on_message is not None:
            self._on_message(message)

    def _render(self) -> RenderableType:
        with self._lock:
            return self._view.render()
