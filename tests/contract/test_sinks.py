"""What every sink keeps (streaming/sinks/base.py), run against every sink there is."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import zmq

from streaming.errors import SinkError, UsageError
from streaming.health import Health, HealthKind
from streaming.sinks import JsonlSink, MemorySink, Publisher, Sink, ZmqPublisher
from streaming.sinks.recording import RecordingWriter
from streaming.sources.recording import Recording
from streaming.wire import decode, encode, parse_json_line

Frames = list[tuple[bytes, bytes]]


@dataclass
class Fixture:
    """A sink, and how to learn what came out of it."""

    sink: Sink
    received: Callable[[int], Frames]


def memory_fixture(tmp_path):
    sink = MemorySink()
    yield Fixture(sink, lambda n: sink.sent)


def jsonl_fixture(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(str(path))
    yield Fixture(sink, lambda n: list(map(parse_json_line, path.read_bytes().splitlines())))
    sink.close()


def zmq_fixture(tmp_path):
    sink = ZmqPublisher("tcp://127.0.0.1:*")
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.SUBSCRIBE, b"")
        subscriber.connect(sink.address)
        settle(sink, subscriber)
        yield Fixture(sink, lambda n: drain(subscriber, n))
        sink.close()


def settle(sink, subscriber):
    """Send until the subscription has arrived, then drop what came of it."""
    while not subscriber.poll(10):
        sink.send(b"settle", b"")
    sink.send(b"settled", b"")
    while subscriber.recv_multipart()[0] != b"settled":
        pass


def drain(subscriber, n):
    """`n` messages, or fewer when no more come for two seconds."""
    frames = []
    while len(frames) < n and subscriber.poll(2000):
        frames.append(tuple(subscriber.recv_multipart()))
    return frames


def recording_fixture(tmp_path):
    path = tmp_path / "out.mcap"
    sink = RecordingWriter(path, {})

    def received(n):
        return [(entry.topic.encode(), entry.data) for entry in Recording(path).entries()]

    yield Fixture(sink, received)
    sink.close()


FIXTURES = {
    "memory": memory_fixture,
    "file": jsonl_fixture,
    "zmq": zmq_fixture,
    "recording": recording_fixture,
}


@pytest.fixture(params=FIXTURES.values(), ids=FIXTURES.keys())
def fixture(request, tmp_path):
    yield from request.param(tmp_path)


def frames(n: int) -> Frames:
    return [
        encode(Health(stream="cam", epoch=1, seq=i + 1, kind=HealthKind.GAP, t_ns=i))
        for i in range(n)
    ]


def test_everything_comes_out_whole_and_in_order(fixture):
    sent = frames(2000)
    for topic, payload in sent:
        fixture.sink.send(topic, payload)
    fixture.sink.flush()
    assert fixture.received(len(sent)) == sent


def test_what_was_sent_before_close_is_out(fixture):
    sent = frames(500)
    for topic, payload in sent:
        fixture.sink.send(topic, payload)
    fixture.sink.close()
    assert fixture.received(len(sent)) == sent


def test_close_may_come_twice_and_nothing_after_it(fixture):
    fixture.sink.close()
    fixture.sink.close()
    with pytest.raises(SinkError, match="closed"):
        fixture.sink.send(*frames(1)[0])


# The file sink.


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing/out.jsonl", "the folder does not exist: create it"),
        (".", "this is a folder"),
        ("file/out.jsonl", "not a folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_one_clear_line(tmp_path, path, says):
    (tmp_path / "file").touch()
    with pytest.raises(SinkError) as refusal:
        JsonlSink(str(tmp_path / path))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_permission():
    with pytest.raises(SinkError, match="no permission"):
        JsonlSink("/sys/kernel/out.jsonl")  # where not even root may create a file


def test_a_full_disk_is_told():
    sink = JsonlSink("/dev/full")
    with pytest.raises(SinkError, match="the disk is full: free some space"):
        sink.send(*frames(1)[0])


def test_lines_before_a_full_disk_stay_whole(tmp_path):
    """A limit on the file's size tears the last line as a full disk does."""
    path = tmp_path / "out.jsonl"
    sent = frames(20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sink = JsonlSink(str(path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SinkError, match="may not grow any further"):
            for topic, payload in sent:
                sink.send(topic, payload)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines = path.read_bytes().splitlines(keepends=True)
    assert 1 < len(lines) < len(sent)
    assert [parse_json_line(line) for line in lines] == sent[: len(lines)]
    assert lines[-1].endswith(b"\n")


def test_each_line_is_in_the_file_as_soon_as_it_was_sent(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(str(path))
    for n, (topic, payload) in enumerate(frames(3), start=1):
        sink.send(topic, payload)
        assert path.read_bytes().count(b"\n") == n


def test_dash_is_standard_output_and_a_closed_pipe_is_told():
    code = (
        "import sys\n"
        "from streaming.sinks import JsonlSink\n"
        "sink = JsonlSink('-')\n"
        "sink.send(b'health/cam', b'{}')\n"
        "sys.stdin.readline()\n"
        "try: sink.send(b'health/cam', b'{}')\n"
        "except Exception as error: print(type(error).__name__, error, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout.readline() == b'{"topic":"health/cam","message":{}}\n'
        child.stdout.close()
        child.stdin.write(b"go\n")
        child.stdin.close()
        assert b"SinkError cannot write results to standard output" in child.stderr.read()


# The ZeroMQ publisher.


@pytest.mark.parametrize(
    "address",
    ["tcp://*:7100", "tcp://0.0.0.0:7100", "tcp://192.168.1.5:7100", "tcp://[::]:7100",
     "tcp://example.org:7100"],
)  # fmt: skip
def test_a_public_address_is_refused(address):
    with pytest.raises(UsageError, match=r"without keys.*attune keys server.*127\.0\.0\.1"):
        ZmqPublisher(address)


@pytest.mark.parametrize("address", ["", "7100", "localhost:7100", "tcp://127.0.0.1",
                                     "tcp://127.0.0.1:99999", "udp://127.0.0.1:1"])  # fmt: skip
def test_a_malformed_address_is_refused(address):
    with pytest.raises(UsageError, match="expected an address like tcp://"):
        ZmqPublisher(address)


def test_an_address_in_use_is_one_clear_line(tmp_path):
    for address in ("tcp://127.0.0.1:*", f"ipc://{tmp_path}/attune"):
        first = ZmqPublisher(address)
        with pytest.raises(SinkError, match="another program serves there: stop it"):
            ZmqPublisher(first.address)
        first.close()
        ZmqPublisher(first.address).close()


def test_an_ipc_path_in_a_missing_folder(tmp_path):
    with pytest.raises(SinkError, match="cannot publish on ipc://"):
        ZmqPublisher(f"ipc://{tmp_path}/missing/attune")


# The publisher over all of them.


class Broken(MemorySink):
    """Fails at the message after the first."""

    def send(self, topic, payload):
        if self.sent:
            raise SinkError("broken")
        super().send(topic, payload)


HEALTH = Health(stream="cam", kind=HealthKind.GAP, t_ns=0)


def test_all_sinks_get_the_same_bytes_and_one_number():
    sinks = [MemorySink(), MemorySink()]
    publisher = Publisher(sinks, unix_ns=lambda: 42)
    returned = [publisher.publish(HEALTH) for _ in range(3)]
    assert sinks[0].sent == sinks[1].sent
    assert sinks[0].messages() == returned
    assert [(m.epoch, m.seq) for m in returned] == [(42, 1), (42, 2), (42, 3)]


def test_a_failing_sink_is_told_once_and_left_out():
    good, broken = MemorySink(), Broken()
    publisher = Publisher([broken, good])
    publisher.publish(HEALTH)
    with pytest.raises(SinkError, match="broken"):
        publisher.publish(HEALTH)
    publisher.publish(HEALTH)
    assert publisher.sinks == (good,)
    assert broken.closed
    assert [m.seq for m in good.messages()] == [1, 2, 3]


def test_heartbeats_go_to_live_sinks_when_due_and_at_the_end():
    live, file = MemorySink(), MemorySink(live=False)
    publisher = Publisher([live, file], heartbeat_ms=1000)
    beats = [publisher.beat(t * 1_000_000) for t in (0, 500, 999, 1000, 1500, 2100)]
    assert beats == [True, False, False, True, False, True]
    publisher.publish(HEALTH)
    publisher.close()
    publisher.close()
    assert [topic for topic, _ in live.sent] == [b"heartbeat"] * 3 + [b"health/cam", b"heartbeat"]
    assert decode(*live.sent[-1]).last_seq == {"cam": 1}
    assert [topic for topic, _ in file.sent] == [b"health/cam"]
