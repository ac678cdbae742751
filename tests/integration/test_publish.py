"""Publication over real sockets: nothing lost, holes named, nobody held up, clean ends."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from attune.client import Delivery, Subscription
from streaming.errors import UsageError
from streaming.health import Health, HealthKind
from streaming.holes import Hole, HoleDetector, NewEpoch
from streaming.results import Heartbeat, Result, Sentiment, Signals
from streaming.sinks import JsonlSink, MemorySink, Publisher, ZmqPublisher
from streaming.states import ClosedBy
from streaming.wire import decode, json_line

WATCH = "import sys; from attune.watch import watch; sys.exit(watch({args}))"
# Says "ready" at the first heartbeat, then as `attune watch --json` until the stream ends.
FOLLOW = """
import sys
from attune.client import Delivery, subscribe
from streaming.results import Heartbeat, Result, Sentiment, Signals
from streaming.wire import json_line
ready = False
out = sys.stdout.buffer
for item in subscribe({address!r}):
    if not isinstance(item, Delivery):
        out.write(repr(item).encode() + b"\\n")
    elif not isinstance(item.message, Heartbeat):
        out.write(json_line(item.topic, item.payload))
        if b"stream_ended" in item.payload:
            break
    elif not ready:
        ready = True
        out.write(b"ready\\n")
        out.flush()
out.flush()
"""
RESULT = Result(
    stream="cam",
    index=0,
    start_ns=0,
    end_ns=2_000_000_000,
    closed_by=ClosedBy.WATERMARK,
    sentiment=Sentiment(score=0.25, low=0.0, high=0.5),
    arousal=None,
    emotions=None,
    modalities={},
    signals=Signals(),
    model="test",
)


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path}/attune"


@pytest.fixture
def started():
    """Start Python processes that do not outlive the test."""
    with ExitStack() as stack:

        def start(code: str) -> subprocess.Popen[bytes]:
            child = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            stack.callback(child.wait)
            stack.callback(child.kill)
            return child

        yield start


def note(stream: str = "cam", kind: HealthKind = HealthKind.GAP) -> Health:
    return Health(stream=stream, kind=kind, t_ns=0, detail="x" * 500)


def beat_until(publisher: Publisher, arrived, limit_s: float = 20.0) -> None:
    """Send heartbeats until `arrived()` says that they come through."""
    give_up_s = time.monotonic() + limit_s
    while not arrived():
        publisher.beat(time.monotonic_ns())
        assert time.monotonic() < give_up_s, "no heartbeat came through"


def attach(publisher: Publisher, subscription: Subscription) -> None:
    """Beat until `subscription` hears it, then read on until nothing is on its way."""
    beat_until(publisher, lambda: subscription.receive(10))
    while subscription.receive(100):
        pass


def collect(subscription: Subscription, n: int) -> list:
    """Items up to the `n`th data message, without heartbeats."""
    items = []
    while sum(isinstance(item, Delivery) for item in items) < n:
        came = subscription.receive(5000)
        assert came, f"only {len(items)} of {n} came"
        items += [i for i in came if not is_heartbeat(i)]
    return items


def is_heartbeat(item) -> bool:
    return isinstance(item, Delivery) and isinstance(item.message, Heartbeat)


def test_two_who_were_there_first_get_every_byte(address, started):
    children = [started(FOLLOW.format(address=address)) for _ in range(2)]
    kept = MemorySink(live=False)
    publisher = Publisher([ZmqPublisher(address), kept], heartbeat_ms=10)
    waiting = list(children)

    def all_ready() -> bool:
        for child in list(waiting):
            if zmq.select([child.stdout], [], [], 0.01)[0]:
                assert child.stdout.readline() == b"ready\n"
                waiting.remove(child)
        return not waiting

    beat_until(publisher, all_ready)
    for _ in range(3000):
        publisher.publish(note())
    publisher.publish(note(kind=HealthKind.STREAM_ENDED))
    publisher.close()
    expected = b"".join(json_line(topic, payload) for topic, payload in kept.sent)
    for child in children:
        out, err = child.communicate(timeout=30)
        assert err == b""
        assert out == expected


def test_who_joins_late_sees_a_consistent_start(address):
    publisher = Publisher([ZmqPublisher(address)], heartbeat_ms=1)
    for _ in range(50):
        publisher.publish(note())
    with Subscription(address) as late:
        attach(publisher, late)
        for _ in range(50):
            publisher.publish(note())
        items = collect(late, 50)
    publisher.close()
    assert [item.message.seq for item in items] == list(range(51, 101))


def test_a_slow_subscriber_loses_for_itself_alone_and_holds_nobody_up(address):
    sink = ZmqPublisher(address)
    publisher = Publisher([sink], heartbeat_ms=1)
    with zmq.Context() as context, context.socket(zmq.SUB) as slow, Subscription(address) as quick:
        slow.setsockopt(zmq.RCVHWM, 100)
        slow.setsockopt(zmq.SUBSCRIBE, b"")
        slow.connect(address)
        attach(publisher, quick)
        beat_until(publisher, lambda: slow.poll(10))
        longest_s, seqs = 0.0, []
        for _ in range(15):
            for _ in range(1000):
                before_s = time.perf_counter()
                publisher.publish(note())
                longest_s = max(longest_s, time.perf_counter() - before_s)
            seqs += [i.message.seq for i in collect(quick, 1000) if isinstance(i, Delivery)]
        detector, holes = HoleDetector(), []
        while slow.poll(500):
            holes += detector.take(decode(*slow.recv_multipart()))
        publisher.beat(time.monotonic_ns() + 10**9)
        while slow.poll(500):
            holes += detector.take(decode(*slow.recv_multipart()))
    publisher.close()
    assert seqs == list(range(1, 15_001))
    assert longest_s < 1.0
    assert sum(h.count for h in holes if isinstance(h, Hole)) > 0


def test_a_filter_is_exact_and_a_restart_is_told(address):
    publisher = Publisher([ZmqPublisher(address)], heartbeat_ms=1)
    with Subscription(address, ["cam"]) as subscription:
        attach(publisher, subscription)
        for stream in ("cam", "cam2", "cam", "desk"):
            publisher.publish(note(stream))
        items = collect(subscription, 2)
        assert [(i.message.stream, i.message.seq) for i in items] == [("cam", 1), ("cam", 2)]
        publisher.close()
        again = Publisher([ZmqPublisher(address)], heartbeat_ms=1)
        told = []
        beat_until(again, lambda: told.extend(subscription.receive(10)) or any(
            isinstance(item, NewEpoch) for item in told))  # fmt: skip
        again.publish(note("cam"))
        told += collect(subscription, 1)
        again.close()
    notices = [item for item in told if not isinstance(item, Delivery)]
    heard = {"cam": 2}
    assert notices == [NewEpoch(epoch=again.epoch, previous=publisher.epoch, heard=heard)]


def test_bytes_that_are_no_message_are_handed_over_as_such(address):
    sink = ZmqPublisher(address)
    publisher = Publisher([sink], heartbeat_ms=1)
    with Subscription(address) as subscription:
        attach(publisher, subscription)
        sink.send(b"result/cam", b"{")
        (garbled,) = subscription.receive(5000)
    publisher.close()
    assert "not JSON" in garbled.reason


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "tcp://", "tcp://127.0.0.1", "http://a:1", "tcp://a:0", "tcp://a:70000"],
)
def test_a_bad_address_is_a_usage_error(address):
    with pytest.raises(UsageError, match="expected an address like"):
        Subscription(address)


def test_a_bad_stream_is_a_usage_error(address):
    with pytest.raises(UsageError, match="cannot be a stream"):
        Subscription(address, ["a/b"])


# attune watch


def watching(address: str, **options: object) -> str:
    options = {"as_json": True, **options}
    return WATCH.format(
        args=", ".join([repr(address), *(f"{k}={v!r}" for k, v in options.items())])
    )


def publish_until_end(address: str, child, path, streams=("cam",)) -> None:
    """Publish notes of every stream, the last its end; the first goes out until `child` has it."""
    publisher = Publisher([ZmqPublisher(address), JsonlSink(str(path))], heartbeat_ms=10)
    beat_until(
        publisher,
        lambda: publisher.publish(note("probe")) and zmq.select([child.stdout], [], [], 0.01)[0],
    )
    for _ in range(100):
        for stream in streams:
            publisher.publish(note(stream))
    for stream in ("probe", *streams):
        publisher.publish(note(stream, HealthKind.STREAM_ENDED))
    publisher.close()


def test_watch_prints_the_bytes_of_the_file_and_ends_with_the_streams(address, started, tmp_path):
    child = started(watching(address, until_ended=True))
    path = tmp_path / "out.jsonl"
    publish_until_end(address, child, path, streams=("cam", "desk"))
    out, err = child.communicate(timeout=20)
    file = path.read_bytes()
    assert (child.returncode, err) == (0, b"")
    assert file.endswith(out)  # probes sent before the subscription arrived are not there
    assert out.count(b"\n") > 200


def test_watch_ends_after_count(address, started, tmp_path):
    child = started(watching(address, count=3))
    publish_until_end(address, child, tmp_path / "out.jsonl")
    out, _ = child.communicate(timeout=20)
    assert (child.returncode, out.count(b"\n")) == (0, 3)


@pytest.mark.parametrize(
    ("number", "as_json"), [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGINT, False)]
)
def test_watch_waits_aloud_and_ends_quietly(address, started, number, as_json):
    child = started(watching(address, as_json=as_json))
    line = child.stderr.readline()
    assert line == f"attune watch: waiting for a publisher at {address}\n".encode()
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (0, b"")
    assert as_json == (out == b"")


def test_watch_ends_when_its_reader_goes_away(address, started):
    child = started(watching(address))
    child.stderr.readline()  # it is up, and waits
    child.stdout.close()
    assert child.wait(timeout=10) == 0
    assert child.stderr.read() == b""


def test_watch_ends_when_the_pipe_breaks_under_a_write(address, started, tmp_path):
    child = started(watching(address))
    publisher = Publisher([ZmqPublisher(address)], heartbeat_ms=10)
    beat_until(
        publisher,
        lambda: publisher.publish(note()) and zmq.select([child.stdout], [], [], 0.01)[0],
    )
    child.stdout.close()
    beat_until(publisher, lambda: publisher.publish(note()) and child.poll() is not None)
    publisher.close()
    assert (child.returncode, child.stderr.read()) == (0, b"")


def has_node_with_zeromq():
    """Whether Node.js finds its ZeroMQ package; NODE_PATH says where."""
    node = shutil.which("node")
    return node and not subprocess.call(
        [node, "-e", 'require("zeromq")'], stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("name", ["subscribe.py", "subscribe.js"])
def test_the_example_prints_each_result(address, name):
    if name.endswith(".js") and not has_node_with_zeromq():
        pytest.skip("needs node and, in $NODE_PATH, the npm package zeromq")
    runtime = sys.executable if name.endswith(".py") else "node"
    example = Path(__file__).parents[2] / "examples" / name
    publisher = Publisher([ZmqPublisher(address)])
    with subprocess.Popen([runtime, str(example), address], stdout=subprocess.PIPE) as child:
        beat_until(
            publisher,
            lambda: publisher.publish(RESULT) and zmq.select([child.stdout], [], [], 0.01)[0],
        )
        line = child.stdout.readline().decode()
        child.kill()
    publisher.close()
    assert re.fullmatch(r"result/cam \d+ 2(\.0)? 0\.25\n", line)
