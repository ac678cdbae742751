"""Mending over real sockets: what the filter of a subscriber lost comes back from the ring."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time

import msgspec
import zmq

from attune.client import Delivery, Garbled, Subscription, subscribe_async
from attune.mending import Mender
from benchmarks.chaos.proxy import Proxy
from streaming.health import Health, HealthKind
from streaming.holes import Hole
from streaming.keys import make_client_keys, make_server_keys, read_server_keys
from streaming.replay import ReplayReply, ReplayRequest
from streaming.results import Heartbeat
from streaming.sinks import Publisher, ReplayServer, ZmqPublisher, open_replay
from streaming.wire import decode, encode
from tests.integration.lossy_publisher import Setup, data, drain, note, seen


def test_a_hole_is_mended_in_its_place(address):
    # sent     1 2 3 4 5 6 + heartbeat
    # came     1 . . 4 5 .
    # told     1 2 3 4 5 6, once each and in order
    setup = Setup(address, lost=(2, 3, 6))
    with Subscription(address) as subscription:
        setup.attach(subscription)
        for _ in range(6):
            setup.publisher.publish(note())
        setup.publisher.beat(time.monotonic_ns() + 10**9)
        items = drain(subscription)
    setup.publisher.close()
    assert seen(items) == [
        (1, "live"), (2, "mended"), (3, "mended"), (4, "live"), (5, "live"), (6, "mended")
    ]  # fmt: skip


def test_what_the_ring_has_let_go_is_said_to_be_gone(address):
    # ring     holds the last three messages only
    # came     1 . . . . 6
    # told     1 [2..3 gone] 4 5 6
    size = sum(map(len, encode(note()))) + 40
    setup = Setup(address, lost=(2, 3, 4, 5), max_bytes=3 * size)
    with Subscription(address) as subscription:
        setup.attach(subscription)
        for _ in range(6):
            setup.publisher.publish(note())
        items = drain(subscription)
    setup.publisher.close()
    assert seen(items) == [(1, "live"), (2, 3), (4, "mended"), (5, "mended"), (6, "live")]


def test_without_a_replay_port_or_without_mending_a_hole_stays_a_hole(address):
    setup = Setup(address, lost=(2,))
    with Subscription(address, mend=False) as subscription:
        setup.attach(subscription)
        for _ in range(3):
            setup.publisher.publish(note())
        items = drain(subscription)
    setup.publisher.close()
    assert seen(items) == [(1, "live"), (2, 2), (3, "live")]
    assert next(i for i in items if isinstance(i, Hole)).count == 1


def test_a_dead_replay_port_costs_the_hole_and_no_more(address, monkeypatch):
    monkeypatch.setattr("attune.mending.PATIENCE_S", 0.2)
    setup = Setup(address, lost=(2,))
    with Subscription(address) as subscription:
        setup.attach(subscription)
        setup.server.close()
        setup.publisher._leave_out(setup.server)
        for _ in range(3):
            setup.publisher.publish(note())
        items = drain(subscription)
    setup.publisher.close()
    assert seen(items) == [(1, "live"), (2, 2), (3, "live")]


def test_who_joins_late_can_begin_with_how_things_stand(address):
    setup = Setup(address)
    for stream in ("cam", "cam", "desk"):
        setup.publisher.publish(note(stream))
    opened = Health(stream="cam", kind=HealthKind.GAP, t_ns=0)
    with Subscription(address, ["cam"], latest=True) as subscription:
        setup.attach(subscription)
        setup.publisher.publish(opened)
        items = drain(subscription)
    setup.publisher.close()
    assert seen(items) == [(3, "live")]  # health is no state; numbers go on without a hole


def test_a_plain_req_socket_is_served(address):
    setup = Setup(address)
    setup.publisher.publish(note())
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(setup.server.address)
        epoch = setup.publisher.epoch
        asked = {"type": "replay", "stream": "cam", "epoch": epoch, "first": 1, "last": 1}
        socket.send(json.dumps(asked).encode())
        assert socket.poll(5000)
        header, topic, payload = socket.recv_multipart()
    setup.publisher.close()
    assert json.loads(header)["last"] == 1
    assert decode(topic, payload).seq == 1


def test_a_request_that_is_too_long_cuts_its_own_connection_only(address):
    setup = Setup(address)
    setup.publisher.publish(note())
    with (
        zmq.Context() as context,
        context.socket(zmq.DEALER) as rude,
        context.socket(zmq.REQ) as polite,
    ):
        for socket in (rude, polite):
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(setup.server.address)
        rude.send(b"x" * 1_000_000)
        polite.send(b'{"type":"latest"}')
        assert polite.poll(5000)
        assert json.loads(polite.recv_multipart()[0])["last_seq"] == {"cam": 1}
        assert not rude.poll(200)
    setup.publisher.close()


def test_the_next_port_is_used_when_it_is_free_and_another_when_it_is_not():
    with zmq.Context() as context, context.socket(zmq.PUB) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        server = open_replay(f"tcp://127.0.0.1:{port - 1}", span_s=1, max_bytes=1)
        assert server.address != f"tcp://127.0.0.1:{port}"
        server.close()
    server = open_replay(f"tcp://127.0.0.1:{port - 1}", span_s=1, max_bytes=1)
    assert server.address == f"tcp://127.0.0.1:{port}"
    server.close()


def test_asyncio(address):
    setup = Setup(address, lost=(2,))

    async def read() -> list:
        items = []
        async for item in subscribe_async(address):
            items.append(item)
            if len(items) == 1:
                for _ in range(3):
                    setup.publisher.publish(note())
            if seen(items) and seen(items)[-1] == (3, "live"):
                return items
        return items

    async def beats() -> None:
        while True:
            setup.publisher.beat(time.monotonic_ns())
            await asyncio.sleep(0.01)

    async def main() -> list:
        beating = asyncio.create_task(beats())
        try:
            return await asyncio.wait_for(read(), 20)
        finally:
            beating.cancel()

    items = asyncio.run(main())
    setup.publisher.close()
    assert seen(items)[-3:] == [(1, "live"), (2, "mended"), (3, "live")]


def test_isolation_the_server_does_not_wait_for_peers_that_take_nothing(address):
    setup = Setup(address)
    for _ in range(2000):
        setup.publisher.publish(note())
    asked = json.dumps({"type": "replay", "stream": "cam", "epoch": setup.publisher.epoch,
                        "first": 1, "last": 2000}).encode()  # fmt: skip
    with zmq.Context() as context, context.socket(zmq.DEALER) as stuck:
        stuck.setsockopt(zmq.LINGER, 0)
        stuck.setsockopt(zmq.RCVHWM, 1)
        stuck.connect(setup.server.address)
        for _ in range(300):
            stuck.send(asked)
        with context.socket(zmq.REQ) as other:
            other.setsockopt(zmq.LINGER, 0)
            other.connect(setup.server.address)
            other.send(b'{"type":"latest"}')
            assert other.poll(10_000)
    setup.publisher.close()


def test_a_server_can_be_closed_twice(address):
    server = ReplayServer(address)
    server.close()
    server.close()


def test_a_frame_over_the_limit_never_reaches_the_subscriber(address, monkeypatch):
    # sent   1 (1.5 MB)   2        the connection is closed at the first, and made anew
    monkeypatch.setattr("attune.client.SILENT_S", 0.3)
    setup = Setup(address)
    with Subscription(address) as subscription:
        setup.attach(subscription)
        ZmqPublisher.send(setup.sink, b"result/cam", b" " * 1_500_000)
        items, limit_s = [], time.monotonic() + 20
        while not data(items):
            setup.publisher.publish(note())
            items += subscription.receive(50)
            assert time.monotonic() < limit_s
    setup.publisher.close()
    assert not [i for i in items if isinstance(i, Garbled)]


def test_a_publisher_that_names_no_address_for_replay_is_listened_to_all_the_same(tmp_path):
    with Subscription(f"ipc://{tmp_path}/nobody") as subscription:
        for told in ("tcp://x", "nonsense", "ipc://", "tcp://127.0.0.1:99999"):
            beat = Heartbeat(epoch=7, seq=1, last_seq={}, published_unix_ns=1, replay=told)
            items = list(subscription._reception.items(list(encode(beat))))
            assert [type(item) for item in items] == [Delivery]


def test_a_replay_port_that_never_comes_to_an_end_is_given_up():
    # asked for 1 to 9, it answers with 3 to 3 and more, whatever is asked next
    with zmq.Context() as context:
        port = context.socket(zmq.ROUTER)
        port.bind("inproc://replay")

        def answer():
            for _ in range(2):
                way, asked = port.recv_multipart()
                reply = ReplayReply(
                    stream="s", epoch=7, first=3, last=3, more=True, id=json.loads(asked)["id"]
                )
                port.send_multipart([way, msgspec.json.encode(reply), b"topic", b"payload"])

        thread = threading.Thread(target=answer)
        thread.start()
        mender = Mender(context, "inproc://replay")
        pieces = list(mender.mend(Hole(stream="s", epoch=7, first=1, last=9)))
        thread.join(5)
        mender.close()
        port.close(0)
    holes = [(piece.first, piece.last) for piece in pieces if isinstance(piece, Hole)]
    assert holes == [(1, 2), (4, 9)]
    assert pieces[1] == (b"topic", b"payload")


def test_what_was_missed_is_handed_on_while_the_rest_is_still_fetched(tmp_path):
    # a heartbeat claims 2**40 messages, and the replay port has one after the other, without end
    place, stop = f"ipc://{tmp_path}/replay", threading.Event()

    def answer() -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as port:
            port.setsockopt(zmq.LINGER, 0)
            port.bind(place)
            while not stop.is_set():
                if port.poll(50):
                    way, data = port.recv_multipart()
                    asked = msgspec.json.decode(data, type=ReplayRequest)
                    reply = ReplayReply(stream="cam", epoch=7, first=asked.first, last=asked.first,
                                        more=True, id=asked.id)  # fmt: skip
                    found = msgspec.structs.replace(note(), epoch=7, seq=asked.first)
                    port.send_multipart([way, msgspec.json.encode(reply), *encode(found)])

    def beat(last: int) -> list[bytes]:
        said = Heartbeat(epoch=7, seq=1, last_seq={"cam": last}, published_unix_ns=1, replay=place)
        return list(encode(said))

    thread = threading.Thread(target=answer)
    thread.start()
    with Subscription(f"ipc://{tmp_path}/nobody") as subscription:
        list(subscription._reception.items(beat(1)))
        items = list(itertools.islice(subscription._reception.items(beat(2**40)), 50))
    stop.set()
    thread.join()
    assert seen(items) == [(seq, "mended") for seq in range(2, 52)]


def test_a_connection_that_broken_bytes_have_ended_is_made_anew_and_what_was_missed_mended(
    tmp_path, monkeypatch
):
    # bytes      sound |-- one of each chunk wrong --| sound
    # subscriber 1       libzmq gives up for good      2 and 3, mended
    monkeypatch.setattr("attune.client.SILENT_S", 0.5)
    make_server_keys(tmp_path / "server")
    make_client_keys(tmp_path / "server", tmp_path / "client", "desk")
    keys = read_server_keys(tmp_path / "server")
    sink = ZmqPublisher("tcp://127.0.0.1:*", keys)
    server = open_replay(sink.address, span_s=600, max_bytes=10**7, keys=keys)
    publisher = Publisher([server, sink], heartbeat_ms=1)
    proxy = Proxy(int(sink.address.rpartition(":")[2]))
    got = []

    def until(count: int) -> None:
        limit_s = time.monotonic() + 60
        while len(got) < count:
            publisher.beat(time.monotonic_ns())
            got.extend(
                (i.message.seq, i.origin) if not isinstance(i.message, Heartbeat) else "beat"
                for i in subscription.receive(20)
                if isinstance(i, Delivery) and (not got or not isinstance(i.message, Heartbeat))
            )
            assert time.monotonic() < limit_s

    with Subscription(f"tcp://127.0.0.1:{proxy.port}", keys=tmp_path / "client") as subscription:
        until(1)
        publisher.publish(note())
        until(2)
        proxy.faults.broken = 1.0
        publisher.publish(note())
        publisher.publish(note())
        limit_s = time.monotonic() + 20
        while not proxy.spoiled:  # a thread of the proxy: there is no event to wait for
            time.sleep(0.01)
            assert time.monotonic() < limit_s
        proxy.faults.broken = 0.0
        until(4)
    # The broken byte may lie in the second message or in the third.
    assert got[:2] == ["beat", (1, "live")]
    assert got[2:] in ([(2, "mended"), (3, "mended")], [(2, "live"), (3, "mended")])
    publisher.close()
