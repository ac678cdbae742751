"""Readers of what comes over ZeroMQ: messages, replies, and requests of three kinds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache

import msgspec
import zmq

from actors.desk import Desk
from actors.messages import Assigned
from actors.roster import Roster
from attune import mending
from attune.client import Subscription
from benchmarks.fuzz.reader import Reader, folder
from benchmarks.publish import RESULT
from streaming import clock_exchange, control, replay
from streaming.clock import HandClock
from streaming.errors import WireError
from streaming.health import Health, HealthKind
from streaming.holes import Hole
from streaming.journal import Journal
from streaming.results import Event, Heartbeat, Phase
from streaming.settings import StreamSettings
from streaming.source_settings import MediaSettings
from streaming.wire import encode, json_line, parse_json_line

EPOCH = 7
MESSAGES = (
    msgspec.structs.replace(RESULT, stream="cam", epoch=EPOCH, seq=1),
    Event(
        stream="cam", epoch=EPOCH, seq=2, id="speech-1", kind="speech", phase=Phase.START,
        start_ns=0, end_ns=None, label="speech", score=0.5, evidence={"frames": 3.0, "by": "x"},
    ),
    Health(stream="cam", epoch=EPOCH, seq=3, kind=HealthKind.DROP, t_ns=5, count=2),
    Heartbeat(
        epoch=EPOCH, seq=1, last_seq={"cam": 3}, published_unix_ns=1, replay="ipc:///tmp/none"
    ),
)  # fmt: skip
REPLAY = (
    replay.ReplayRequest(stream="cam", epoch=EPOCH, first=1, last=3, id=1),
    replay.ReplayRequest(stream="cam", epoch=1, first=1, last=2, id=2),
    replay.LatestRequest(streams=["cam"], id=3),
)
REPLIES = (
    replay.ReplayReply(stream="cam", epoch=EPOCH, first=2, last=3, more=True, id=1),
    replay.LatestReply(epoch=EPOCH, last_seq={"cam": 3}, id=1),
    replay.Refusal(reason="expected another epoch", id=1),
)
STREAM = StreamSettings(name="door", sources=(MediaSettings(url="door.mp4"),))
ASKED = (
    control.ListRequest(id=1),
    control.AddRequest(stream=STREAM, id=2),
    control.PauseRequest(stream="one", id=3),
    control.ResumeRequest(stream="one", id=4),
    control.RemoveRequest(stream="one", id=5),
)


def _messages(data: bytes) -> None:
    """As a subscriber of any publisher: topic, line feed, payload. Nothing is asked for."""
    with Subscription("ipc:///tmp/attune-fuzz-nobody", mend=False) as subscription:
        for _ in range(2):  # the second one is a repeat
            list(subscription._reception.items(data.split(b"\n", 1)))
    parse_json_line(data)


def _message_seeds() -> Iterable[bytes]:
    for message in MESSAGES:
        topic, payload = encode(message)
        yield topic + b"\n" + payload
        yield json_line(topic, payload)


def _payloads(data: bytes) -> None:
    """The same with the topic that the payload asks for."""
    try:
        stream = msgspec.json.decode(data, type=dict).get("stream", "cam")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        stream = "cam"
    with Subscription("ipc:///tmp/attune-fuzz-nobody", mend=False) as subscription:
        for kind in ("result", "health", "heartbeat"):
            place = kind if kind == "heartbeat" else f"{kind}/{stream}"
            list(subscription._reception.items([place.encode(errors="replace"), data]))


@cache
def _rings() -> tuple[replay.Ring, replay.Ring]:
    """A ring with a few messages, and one with a journal."""
    journal = Journal(folder() / "ring.sqlite", span_ns=10**12, max_bytes=10**6)
    rings = (
        replay.Ring(span_ns=10**12, max_bytes=10**6),
        replay.Ring(span_ns=10**12, max_bytes=10**6, journal=journal),
    )
    for ring in rings:
        for message in MESSAGES:
            ring.add(*encode(message), now_ns=0)
    return rings


def _replay_requests(data: bytes) -> None:
    for ring in _rings():
        header = ring.answer(data)[0]
        reply = msgspec.json.decode(header, type=replay.Reply)
        if isinstance(reply, replay.Refusal) and "\n" in reply.reason:
            raise AssertionError(f"a refusal is not one line: {reply.reason!r}")


class _Answering:
    """A replay port that says what the fuzzer wants, then refuses, so that nobody waits."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.frames: list[bytes] = []
        self._router = self.context.socket(zmq.ROUTER)
        self._router.bind("inproc://replay")
        self.mender = mending.Mender(self.context, "inproc://replay")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            way, asked = self._router.recv_multipart()
            number = msgspec.json.decode(asked)["id"]
            tree: object
            try:
                tree = msgspec.json.decode(self.frames[0])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                tree = None
            head = self.frames[0]
            if isinstance(tree, dict) and tree.get("id") == 1:
                head = msgspec.json.encode({**tree, "id": number})
            self._router.send_multipart([way, head, *self.frames[1:]])
            refusal = replay.Refusal(reason="no more", id=number)
            self._router.send_multipart([way, msgspec.json.encode(refusal)])


@cache
def _answering() -> _Answering:
    return _Answering()


def _replay_replies(data: bytes) -> None:
    """As a subscriber that has something fetched from any replay port."""
    port = _answering()
    port.frames = [data, b"result/cam", b"{}"]
    list(port.mender.mend(Hole(stream="cam", epoch=EPOCH, first=1, last=3)))
    port.mender.latest(None)


class _Refusing:
    """A reader of streams that can open none; nothing is opened here."""

    name = "a"

    def open(self, assigned: Assigned) -> _Refusing:
        return self

    def complaint(self) -> tuple[bool, str | None]:
        return True, "no such device"

    def start_one(self, name: str) -> None:
        raise AssertionError("a stream was begun that could not be opened")

    def stop_one(self, name: str) -> None:
        """Nothing is read."""


def _commands(data: bytes) -> None:
    """Requests as a running pipeline takes them, and the replies as who asked does."""
    replies: list[control.Reply] = []
    roster = Roster({"a": [msgspec.structs.replace(STREAM, name="one")]})
    clock = HandClock()
    desk = Desk(roster, lambda: [_Refusing()], lambda *_: None, clock)
    try:
        request = control.decode_request(data)
    except WireError:
        control.decode_reply(data)
        return
    desk.take(request, replies.append)
    desk.step()
    desk.close()
    (reply,) = replies
    if control.decode_reply(control.encode(reply)) != reply:
        raise AssertionError("a reply does not survive its encoding")


def _times(data: bytes) -> None:
    """Both sides of the exchange of clocks."""
    clock_exchange.decode_request(data)
    asking = clock_exchange.Asking("there", 0)
    for now_ns in (0, 10**9, 2 * 10**9):
        asking.ask(now_ns)
        asking.hear(data, now_ns + 1000)
        asking.hear(data.replace(b'"id":1', b'"id":%d' % (1 + now_ns // 10**9)), now_ns + 2000)
    asking.news(10**10)


def _encoded(messages: Iterable[msgspec.Struct]) -> Callable[[], list[bytes]]:
    return lambda: [msgspec.json.encode(message) for message in messages]


def _time_seeds() -> list[bytes]:
    told = clock_exchange.ClockReply(id=1, received_ns=10**12, replied_ns=10**12 + 500)
    return [clock_exchange.encode(clock_exchange.ClockRequest(id=1)), clock_exchange.encode(told)]


KINDS = ("result", "event", "health", "heartbeat", "replay", "latest", "refused", "add", "clock")
READERS = {
    reader.name: reader
    for reader in (
        Reader("messages", _messages, _message_seeds, words=(*KINDS, "result/cam", "epoch")),
        Reader("payloads", _payloads, _encoded(MESSAGES), "json", KINDS),
        Reader("replay-requests", _replay_requests, _encoded(REPLAY), "json", KINDS),
        Reader("replay-replies", _replay_replies, _encoded(REPLIES), "json", KINDS),
        Reader("commands", _commands, _encoded(ASKED), "json", KINDS),
        Reader("times", _times, _time_seeds, "json", KINDS),
    )
}
