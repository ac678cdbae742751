"""A connection to a stream on a network, made anew each time it breaks.

Reading and connecting wait for the other side, so a thread does both. Invariant: what the thread
finds comes out of `read` in order: a connection, its packets with their times of arrival, its end.
Nothing is decoded here; packets that nobody takes are held up to `MOST_BYTES`, then counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet as AvPacket
from av.video.stream import VideoStream

from streaming.clock import NS_PER_S, Clock
from streaming.errors import SourceError
from streaming.redact import redacted
from streaming.source_settings import MediaSettings
from streaming.sources.backoff import next_delay_s
from streaming.sources.late_tracks import late_kinds, may_grow
from streaming.sources.media_open import choose_tracks, open_container

READ_TIMEOUT_S = 1.2  # without a packet, and the stream's delay; a loss is known within 2 s
FIRST_PAUSE_S, MOST_PAUSE_S = 0.1, 0.25  # from one attempt to connect again to the next
COMPLETE_PAUSE_S = 2.0  # the same, where each attempt reads a piece to find the playlist complete
MOST_BYTES = 32 << 20
MOST_ERRORS = 100  # in a row
LOOK_NS = NS_PER_S  # from one look for new tracks to the next
HLS = "hls"
OPTIONS = {
    "analyzeduration": "1000000",  # µs of the stream that are looked at for its tracks, at most
    "fpsprobesize": "0",  # frames that are waited for to tell the frame rate
    "merge_pmt_versions": "1",  # a sender that was begun anew keeps its tracks
    "rtsp_flags": "prefer_tcp",
}


class CompleteError(SourceError):
    """The playlist goes on no more."""


class Connected(NamedTuple):
    """A connection and its chosen tracks, which are gone with it once it is released."""

    container: InputContainer
    video: VideoStream | None
    audio: AudioStream | None


class Arrived(NamedTuple):
    """A packet in hand at `arrival_ns`; `passed`: how many before it nobody had room for."""

    packet: AvPacket[Any]
    arrival_ns: int
    passed: int = 0


class Gone(NamedTuple):
    """The connection broke, or could not be made again."""

    reason: str


Event = Connected | Arrived | Gone


class PacketPort(Protocol):
    """What `NetworkSource` reads."""

    @property
    def first(self) -> Connected:
        """The connection that it begins with, for its tracks; `read` gives it again."""
        ...

    def start(self) -> None:
        """Let packets come."""
        ...

    def read(self, timeout_s: float) -> Event | None:
        """What happened next; None for nothing within `timeout_s`."""
        ...

    def renew(self) -> None:
        """Break the connection off with the next packet and make it anew."""
        ...

    def release(self) -> None:
        """Nothing of the connection that is gone is used any more: it may be closed."""
        ...

    def close(self) -> None:
        """End it; nothing of it is used any more. May be called twice."""
        ...


class NetworkPort:
    """Connects at once; `SourceError` where that fails the first time."""

    def __init__(self, settings: MediaSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._timeout_s = READ_TIMEOUT_S + settings.delay_ms / 1000
        self._events: deque[Event] = deque()
        self._bytes = self._passed = 0
        self._ready, self._stop = threading.Condition(), threading.Event()
        self._released, self._renew = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="network")
        self._first: Connected | None = self._connect()
        self._grows = bool(settings.late_tracks) and may_grow(self._first.container)
        if not self._grows:
            self._settings = msgspec.structs.replace(  # a stream's modalities do not change
                settings,
                video=self._first.video is not None,
                audio=self._first.audio is not None,
            )
        self._least_pause_s = 0.0
        self._sought: set[str] = set()  # kinds of tracks that a connection was made anew for

    @property
    def first(self) -> Connected:
        """The connection that the port began with."""
        assert self._first is not None
        return self._first

    def start(self) -> None:
        """Let packets come."""
        self._thread.start()

    def read(self, timeout_s: float) -> Event | None:
        """What happened next; None for nothing within `timeout_s`."""
        with self._ready:
            self._ready.wait_for(lambda: bool(self._events), timeout_s)
            if not self._events:
                return None
            event = self._events.popleft()
            if isinstance(event, Arrived):
                self._bytes -= event.packet.size
            return event

    def renew(self) -> None:
        """Break the connection off with the next packet and make it anew."""
        self._renew.set()

    def release(self) -> None:
        """Nothing of the connection that is gone is used any more: it may be closed."""
        self._released.set()

    def close(self) -> None:
        """End it; a read that waits for the other side ends at its time limit."""
        if self._first is not None and not self._thread.is_alive():
            self._first.container.close()
            self._first = None
        self._stop.set()
        self._released.set()

    def _keep(self) -> None:
        """Read, and connect again, until it is closed."""
        connected: Connected | None = self._first
        failures, tried_ns = 0, self._clock.now_ns()
        while not self._stop.is_set():
            if connected is None:
                failures += 1
                pause_s = next_delay_s(failures, first_s=FIRST_PAUSE_S, most_s=MOST_PAUSE_S)
                pause_s = max(pause_s, self._least_pause_s)
                self._clock.wait_until(tried_ns + round(pause_s * NS_PER_S), self._stop)
                tried_ns = self._clock.now_ns()
                connected = self._connected_again()
                continue
            self._put(connected)
            for arrived in self._packets(connected):
                failures = 0
                self._put(arrived)
            tried_ns = self._clock.now_ns()
            self._released.wait()
            self._released.clear()
            connected.container.close()
            self._first = connected = None
        if connected is not None:  # made while it was closed
            connected.container.close()

    def _connected_again(self) -> Connected | None:
        if self._stop.is_set():
            return None
        try:
            return self._connect()
        except SourceError as error:
            self._least_pause_s = COMPLETE_PAUSE_S if isinstance(error, CompleteError) else 0.0
            self._put(Gone(str(error)))
            return None

    def _connect(self) -> Connected:
        timeout_us = str(round(self._timeout_s * 1e6))
        container = open_container(
            self._settings.url,
            read_timeout_s=self._timeout_s,
            options=OPTIONS | {"rw_timeout": timeout_us},
        )
        try:
            if container.format.name == HLS and container.duration is not None:
                raise CompleteError(
                    f"{redacted(self._settings.url)}: the playlist is complete; expected one that "
                    "goes on. Leave out `live: true` to read it like a file."
                )
            return Connected(container, *choose_tracks(container, self._settings))
        except SourceError:
            container.close()
            raise

    def _packets(self, connected: Connected) -> Iterator[Arrived]:
        """Packets of the chosen tracks, to the end of the connection, which is told of."""
        chosen = [t for t in (connected.video, connected.audio) if t is not None]
        errors, reason = 0, "the sender ended it"
        silence = f"it has given nothing for {self._timeout_s:.1f} s"
        in_pieces = connected.container.format.name == HLS
        looked_ns = self._clock.now_ns()
        heard_ns: dict[str, int] = {track.type: looked_ns for track in chosen}
        self._sought -= heard_ns.keys()
        self._renew.clear()
        while errors < MOST_ERRORS and not self._stop.is_set():
            try:
                asked_ns = self._clock.now_ns()
                for packet in connected.container.demux(chosen):
                    if self._stop.is_set():
                        return
                    now_ns = self._clock.now_ns()
                    if self._grows and now_ns > looked_ns + LOOK_NS:
                        looked_ns = now_ns
                        if self._seek(connected.container, heard_ns, now_ns):
                            reason = "it has a new track"
                            break
                    if self._renew.is_set():
                        reason = "what it sends has changed"
                        break
                    if packet.size:
                        errors = 0
                        heard_ns[packet.stream.type] = now_ns
                        yield Arrived(packet, now_ns)
                    if in_pieces and now_ns - asked_ns > self._timeout_s * NS_PER_S:
                        reason = silence  # at the time limit this demuxer gives what it still holds
                        break
                    asked_ns = self._clock.now_ns()
                break
            except (av.InvalidDataError, av.PatchWelcomeError) as error:
                errors, reason = errors + 1, f"it sends what cannot be read ({error.strerror})"
            except (av.ExitError, TimeoutError):
                reason = silence
                break
            except IndexError:  # PyAV fails at the end of a stream that has new tracks
                break
            except (av.FFmpegError, OSError) as error:
                reason = f"reading broke off ({error.strerror or error})"
                break
        self._put(Gone(reason))

    def _seek(self, container: InputContainer, heard_ns: dict[str, int], now_ns: int) -> bool:
        """Whether there is a new track of a kind that is missing, or has fallen silent; once, as
        long as no connection has it."""
        wanted = {"video": self._settings.video, "audio": self._settings.audio}
        missing = {
            k for k, asked in wanted.items() if asked and heard_ns.get(k, 0) < now_ns - LOOK_NS
        } - self._sought
        found = late_kinds(container) & missing if missing else set()
        self._sought |= found
        return bool(found)

    def _put(self, event: Event) -> None:
        with self._ready:
            if isinstance(event, Arrived):
                if self._bytes + event.packet.size > MOST_BYTES:
                    self._passed += 1
                    return
                self._bytes += event.packet.size
                event, self._passed = event._replace(passed=self._passed), 0
            self._events.append(event)
            self._ready.notify()
