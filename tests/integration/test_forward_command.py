"""`attune forward` as a process, between publishers that are processes and a subscriber here."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from urllib.request import urlopen

import pytest
import zmq

from attune.client import Delivery, Subscription
from streaming.health import HealthKind
from streaming.holes import Hole, NewEpoch
from streaming.keys import make_client_keys, make_server_keys
from streaming.results import Health, Heartbeat, Result
from tests.integration.conftest import attune, start

LIMIT_S = 60.0


def free_port() -> int:
    with zmq.Context() as context, context.socket(zmq.PUB) as probe:
        return probe.bind_to_random_port("tcp://127.0.0.1")


@pytest.fixture
def speaking(running):
    """Start a publisher; `go` has it say its messages, and later end."""

    def begin(address, stream, count=200, every_ms=5, journal="", keys=""):
        command = [sys.executable, "-m", "tests.integration.speaking", address, stream]
        command += [str(count), str(every_ms), str(journal), str(keys)]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        running.append(child)
        return child

    return begin


@pytest.fixture
def forwarding(running, tmp_path):
    """Start a forwarder and wait until it has heard each of its upstreams."""

    def begin(*arguments, hears=()):
        child = start("forward", *arguments)
        running.append(child)
        said = until_heard(child, hears)
        child.notices = said
        return child

    return begin


def until_heard(child, names):
    """Read notices until all of `names` are heard; a thread reads on, so that no pipe fills."""
    said: list[str] = []

    def read():
        said.extend(child.stderr)

    threading.Thread(target=read, daemon=True).start()
    limit_s = time.monotonic() + LIMIT_S
    while not all(any(f"{name}: heard" in line for line in said) for name in names):
        assert time.monotonic() < limit_s, said
        assert child.poll() is None, said
        time.sleep(0.02)  # a pipe of another process: there is no event to wait for
    return said


def go(child):
    child.stdin.write("go\n")
    child.stdin.flush()


class Listener:
    """A subscriber, and all that came to it."""

    def __init__(self, address, **options):
        self.subscription = Subscription(address, **options)
        self.items = []
        self.until(lambda: bool(self.items))

    def until(self, enough, limit_s=LIMIT_S):
        limit = time.monotonic() + limit_s
        while not enough():
            assert time.monotonic() < limit, [str(item)[:300] for item in self.items[-5:]]
            self.items += self.subscription.receive(50)

    @property
    def messages(self):
        items = [item.message for item in self.items if isinstance(item, Delivery)]
        return [message for message in items if not isinstance(message, Heartbeat)]

    def forwarded(self, stream):
        return [m.forwarded[0] for m in self.messages if m.stream == stream and m.forwarded]

    def own(self, stream):
        return [m for m in self.messages if m.stream == stream and not m.forwarded]

    def until_ended(self, *streams):
        def ended(stream):
            mine = [m for m in self.messages if m.stream == stream]
            return mine and getattr(mine[-1], "kind", "") is HealthKind.STREAM_ENDED

        self.until(lambda: all(map(ended, streams)))
        self.subscription.close()
        assert not [item for item in self.items if isinstance(item, Hole)]


def published(*children):
    """Epochs and numbers that were out, in order."""
    lines = [line for child in children for line in child.communicate(timeout=30)[0].splitlines()]
    return [tuple(map(int, line.split())) for line in lines]


def numbers(hops):
    return [(hop.epoch, hop.seq) for hop in hops]


def test_two_publishers_one_killed_and_started_again_one_behind_keys(
    speaking, forwarding, tmp_path
):
    # a   1 ...... killed        epoch 2: 1 ...... ended      (a journal knows its last words)
    # b   (keys)   1 ................................ ended
    make_server_keys(tmp_path / "b")
    make_client_keys(tmp_path / "b", tmp_path / "b-client", "forwarder")
    a, b = f"ipc://{tmp_path}/a", f"tcp://127.0.0.1:{free_port()}"
    out = f"ipc://{tmp_path}/out"
    first = speaking(a, "cam", 10_000, 2, tmp_path / "journal")
    other = speaking(b, "cam", 400, 10, "", tmp_path / "b")
    config = tmp_path / "forward.yaml"
    config.write_text(
        f"upstreams: [{{address: '{a}'}}, {{address: '{b}', name: b, keys: {tmp_path}/b-client}}]\n"
        f"away_s: 1\noutput: {{publish: '{out}'}}\n"
    )
    forwarding(config, hears=(a, "b"))
    listener = Listener(out)
    go(first)
    go(other)
    listener.until(lambda: len(listener.forwarded("cam")) > 150)
    first.kill()
    listener.until(lambda: listener.own("cam"))
    second = speaking(a, "cam", 100, 2, tmp_path / "journal")
    go(second)
    listener.until(lambda: len(listener.forwarded("b.cam")) >= 400)
    for child in (second, other):
        go(child)
    listener.until_ended("cam", "b.cam")
    # A line may be missing that the kill cut off after its message was out.
    told, truth = numbers(listener.forwarded("cam")), published(first, second)
    assert set(truth) <= set(told)
    assert len(set(told)) == len(told)
    assert told == sorted(told)
    assert len(told) - len(truth) <= 1
    assert numbers(listener.forwarded("b.cam")) == published(other)
    kinds = [m.kind for m in listener.own("cam")]
    assert kinds == [HealthKind.SOURCE_LOST, HealthKind.RECOVERED, HealthKind.RESTARTED]
    assert listener.own("b.cam") == []
    assert [m.seq for m in listener.messages if m.stream == "cam"] == [
        *range(1, len(told) + len(kinds) + 1)
    ]


def test_a_forwarder_that_is_killed_goes_on_where_it_stood_if_it_has_a_journal(
    speaking, forwarding, tmp_path
):
    # cam          1 .......................................... ended
    # door         1 .. 10
    # forwarder    epoch 1 ....... killed        epoch 2: what came between, then the rest
    #                                            door 9, its last result, once more
    a, b, out = (f"ipc://{tmp_path}/{name}" for name in ("a", "b", "out"))
    asked = (a, b, "--publish", out, "--set", f"output.journal={tmp_path}/journal")
    child, idle = speaking(a, "cam", 600, 5), speaking(b, "door", 10, 0)
    first = forwarding(*asked, hears=(a, b))
    listener = Listener(out)
    for each in (child, idle):
        go(each)
    listener.until(lambda: len(listener.forwarded("cam")) > 150 and listener.forwarded("door"))
    first.kill()
    first.wait()
    time.sleep(0.5)  # what is published meanwhile is what this test is about
    forwarding(*asked, hears=(a, b))
    listener.until(lambda: len(listener.forwarded("door")) > 10)
    late = Listener(out, latest=True)
    late.until(lambda: [hop.seq for hop in late.forwarded("door")] == [9])
    late.subscription.close()
    for each in (child, idle):
        go(each)
    listener.until_ended("cam", "door")
    assert len({m.epoch for m in listener.messages}) == 2
    assert len([item for item in listener.items if isinstance(item, NewEpoch)]) == 1
    assert numbers(listener.forwarded("cam")) == published(child)
    assert [hop.seq for hop in listener.forwarded("door")] == [*range(1, 11), 9, 11]
    assert listener.own("cam") == listener.own("door") == []
    assert len({(m.stream, m.epoch, m.seq) for m in listener.messages}) == len(listener.messages)


def test_without_a_journal_it_begins_with_how_things_stand(speaking, forwarding, tmp_path):
    # cam          1 2 3 ... 9 10 |
    # forwarder    (not there)    | the last result (9); then 11, ended
    source, out = f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/out"
    child = speaking(source, "cam", 10, 0)
    go(child)
    for _ in range(10):
        child.stdout.readline()
    forwarding(source, "--publish", out, hears=(source,))
    late = Listener(out, latest=True)
    late.until(lambda: late.forwarded("cam"))
    go(child)
    late.until_ended("cam")
    assert [hop.seq for hop in late.forwarded("cam")] == [9, 11]
    assert late.own("cam") == []


def test_a_chain_of_two_and_one_who_joins_late(speaking, forwarding, tmp_path):
    a, b = f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b"
    near, far = f"ipc://{tmp_path}/near", f"ipc://{tmp_path}/far"
    children = [speaking(a, "cam", 100, 5), speaking(b, "cam", 100, 5)]
    forwarding(f"porch={a}", f"yard={b}", "--publish", near, hears=("porch", "yard"))
    forwarding(f"house={near}", "--publish", far, hears=("house",))
    early = Listener(far)
    for child in children:
        go(child)
    names = ("house.porch.cam", "house.yard.cam")
    early.until(lambda: all(len(early.forwarded(name)) == 100 for name in names))
    late = Listener(far, latest=True)
    late.until(lambda: {m.stream for m in late.messages if isinstance(m, Result)} == set(names))
    assert {i.origin for i in late.items if isinstance(i, Delivery)} == {"latest", "live"}
    assert [m.index for m in late.messages] == [98, 98]
    late.subscription.close()
    for child in children:
        go(child)
    early.until_ended(*names)
    for name, publisher, child in zip(names, ("porch", "yard"), children, strict=True):
        hops = early.forwarded(name)
        assert numbers(hops) == published(child)
        assert {(hop.publisher, hop.stream) for hop in hops} == {(publisher, "cam")}
        ways = {tuple(hop.publisher for hop in m.forwarded) for m in early.messages}
        assert (publisher, "house") in ways


def test_a_stuck_publisher_delays_no_other_and_loses_nothing(speaking, forwarding, tmp_path):
    # stuck   1 ....... stopped         continued ....... ended     source_lost, recovered
    # other   1 .................................. ended            on time
    a, b, out = (f"ipc://{tmp_path}/{name}" for name in ("a", "b", "out"))
    stuck, other = speaking(a, "stuck", 300, 5), speaking(b, "other", 300, 10)
    forwarding(a, b, "--publish", out, "--set", "away_s=1", hears=(a, b))
    listener = Listener(out)
    go(stuck)
    go(other)
    listener.until(lambda: len(listener.forwarded("stuck")) > 50)
    stuck.send_signal(signal.SIGSTOP)
    try:
        stopped_s, before = time.monotonic(), len(listener.forwarded("other"))
        listener.until(lambda: listener.own("stuck"))
        assert time.monotonic() - stopped_s < 10
        assert len(listener.forwarded("other")) > before + 20  # a hundred a second
    finally:
        stuck.send_signal(signal.SIGCONT)
    for child in (stuck, other):
        go(child)
    listener.until_ended("stuck", "other")
    for name, child in (("stuck", stuck), ("other", other)):
        assert numbers(listener.forwarded(name)) == published(child)
    kinds = [m.kind for m in listener.own("stuck")]
    assert kinds == [HealthKind.SOURCE_LOST, HealthKind.RECOVERED]
    assert listener.own("other") == []


def test_it_is_pinged_scraped_and_ends_in_good_order(speaking, forwarding, tmp_path):
    source, port = f"ipc://{tmp_path}/a", free_port()
    out = f"tcp://127.0.0.1:{free_port()}"
    child = speaking(source, "cam", 50, 0)
    asked = (f"porch={source}", f"yard=ipc://{tmp_path}/none", "--publish", out)
    forwarder = forwarding(*asked, "--set", f"metrics.port={port}", hears=("porch",))
    listener = Listener(out)
    go(child)
    listener.until(lambda: len(listener.forwarded("porch.cam")) == 50)
    page = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    assert 'attune_upstream_up{upstream="porch"} 1.0' in page
    assert 'attune_upstream_up{upstream="yard"} 0.0' in page
    assert 'attune_forward_messages_total{outcome="live",upstream="porch"} 50.0' in page
    pinged = attune("ping", out)
    assert pinged.stdout == f"{out}: alive; streams heard of: 1\n"
    go(child)
    child.wait(timeout=10)
    forwarder.send_signal(signal.SIGTERM)
    assert forwarder.wait(timeout=20) == 143
    listener.until_ended("porch.cam")  # it was told before the end
    assert not [line for line in forwarder.notices if "Traceback" in line]


def test_a_public_address_without_keys_is_refused_as_everywhere(tmp_path):
    done = attune("forward", f"ipc://{tmp_path}/a", "--publish", "tcp://0.0.0.0:7100")
    assert done.returncode == 2
    assert "without keys: other hosts can reach it" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_neither_ray_nor_a_model_is_loaded():
    code = "import sys, attune.forward; print({'ray', 'torch', 'cv2', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_stranger_behind_a_replay_port_cannot_speak_for_another(forwarding, speaking, tmp_path):
    """Two publishers of one name: the second is refused, and told of on the stream of the first."""
    a, b, out = (f"ipc://{tmp_path}/{name}" for name in ("a", "b", "out"))
    first, second = speaking(a, "cam", 50, 5), speaking(b, "cam", 50, 5)
    forwarding(a, b, "--publish", out, hears=(a, b))
    listener = Listener(out)
    go(first)
    listener.until(lambda: listener.forwarded("cam"))
    go(second)
    listener.until(lambda: len(listener.forwarded("cam")) == 50 and listener.own("cam"))
    go(first)
    listener.until_ended("cam")
    assert {hop.publisher for hop in listener.forwarded("cam")} == {a}
    (told,) = listener.own("cam")
    assert isinstance(told, Health)
    assert told.kind is HealthKind.DROP
    assert f"NAME={b}" in told.detail
