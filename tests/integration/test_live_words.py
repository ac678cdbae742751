"""Words over real sockets: ZeroMQ with CURVE and a WebSocket server, which come and go."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.server import Server, ServerConnection, serve
from words_reader import WAIT_S, Reader, free_port, reading, words

from streaming.clock import SystemClock
from streaming.errors import SourceError
from streaming.health import Health
from streaming.keys import (
    make_client_keys,
    make_server_keys,
    read_client_keys,
    read_server_keys,
    use_keys,
)
from streaming.packets import Packet
from streaming.sinks.zeromq import ZmqPublisher
from streaming.source_settings import TextSettings
from streaming.sources.text_feed import TextFeed


def until_heard(send: Callable[[], None], reader: Reader) -> str:
    """A subscription takes a moment to reach the publisher; nothing tells when it has."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        send()
        if not reader.came.empty():
            return reader.next()
        time.sleep(0.02)
    raise AssertionError("nothing was heard")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    server, client = tmp_path / "server", tmp_path / "client"
    make_server_keys(server)
    make_client_keys(server, client, "bot")
    return server, client


def test_a_publisher_with_keys_is_heard_and_its_loss_and_return_are_told(folders, tmp_path):
    # publisher  |--- hello --------| gone |--- again ...
    # told            hello          lost    recovered again
    server, client = folders
    with pytest.raises(SourceError, match="nobody answers there"):
        TextFeed(TextSettings(path="zmq+sub://127.0.0.1:1", keys=str(client)), stream="s")
    publisher = ZmqPublisher("tcp://127.0.0.1:*", read_server_keys(server))
    port = publisher.address.rpartition(":")[2]
    make_server_keys(tmp_path / "other")
    make_client_keys(tmp_path / "other", tmp_path / "stranger", "stranger")
    (tmp_path / "stranger" / "server.key").write_bytes((server / "server.key").read_bytes())
    with pytest.raises(SourceError, match="does not let these keys in"):
        TextFeed(
            TextSettings(path=f"zmq+sub://127.0.0.1:{port}", keys=str(tmp_path / "stranger")),
            stream="s",
        )
    with reading(f"zmq+sub://127.0.0.1:{port}/chat", keys=str(client)) as reader:
        publisher.send(b"other", words("not asked for"))
        assert until_heard(lambda: publisher.send(b"chat", words("hello")), reader) == "hello"
        gone_s = time.monotonic()
        publisher.close()
        while (told := reader.next()) == "hello":
            pass
        assert (told, time.monotonic() - gone_s < 2.0) == ("source_lost", True)
        publisher = ZmqPublisher(f"tcp://127.0.0.1:{port}", read_server_keys(server))
        assert reader.next() == "recovered"
        assert until_heard(lambda: publisher.send(b"chat", words("again")), reader) == "again"
    publisher.close()


def test_who_pushes_without_a_key_is_not_heard_and_rubbish_costs_itself(folders):
    server, client = folders
    port = free_port()
    with (
        reading(f"zmq+pull://127.0.0.1:{port}", keys=str(server)) as reader,
        zmq.Context() as context,
    ):
        stranger, bot = context.socket(zmq.PUSH), context.socket(zmq.PUSH)
        use_keys(bot, read_client_keys(client))
        for pusher in (stranger, bot):
            pusher.connect(f"tcp://127.0.0.1:{port}")
        stranger.send(words("I am nobody"))
        bot.send_multipart([b"a", b"b"])
        bot.send(b"\xff\x00")
        bot.send(b" " * 70_000)
        bot.send(words("hello"))
        told = [reader.next_item(), reader.next_item()]
        for pusher in (stranger, bot):
            pusher.close(0)
    told += reader.rest()
    refused = [item for item in told if isinstance(item, Health)]
    assert [item.payload.text for item in told if isinstance(item, Packet)] == ["hello"]
    assert {item.kind for item in refused} == {"corrupt"}
    assert sum(item.count for item in refused) == 3


class Chat:
    """A WebSocket server that sends what it is given to whoever is there."""

    def __init__(self, port: int = 0, **options: Any) -> None:
        self.there: queue.Queue[ServerConnection] = queue.Queue()
        self.server: Server = serve(self._talk, "127.0.0.1", port, **options)
        self.port = int(self.server.socket.getsockname()[1])
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _talk(self, connection: ServerConnection) -> None:
        self.there.put(connection)
        with suppress(ConnectionClosed):
            connection.recv()  # until it is closed: nobody says anything to it

    def stop(self) -> None:
        self.server.shutdown()


def test_a_websocket_server_comes_and_goes_and_too_much_costs_one_connection():
    # server  hello | gone |           again  2 MB           (same server) still
    # told    hello   lost   recovered again  corrupt  lost  recovered     still
    chat = Chat()
    with reading(f"ws://127.0.0.1:{chat.port}/room") as reader:
        there = chat.there.get(timeout=WAIT_S)
        there.send(words("hello").decode())
        assert reader.next() == "hello"
        there.close()
        chat.stop()
        assert reader.next() == "source_lost"
        chat = Chat(chat.port)
        assert reader.next() == "recovered"
        there = chat.there.get(timeout=WAIT_S)
        there.send(words("again").decode())
        there.send("x" * (2 << 20))
        assert [reader.next() for _ in range(4)] == ["again", "corrupt", "source_lost", "recovered"]
        chat.there.get(timeout=WAIT_S).send(words("still"))
        assert reader.next() == "still"
    chat.stop()


def test_a_server_that_falls_silent_is_seen_by_ping(caplog):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    held: list[socket.socket] = []

    def greet_and_say_nothing_more() -> None:
        peer, _ = listener.accept()
        held.append(peer)
        protocol = ServerProtocol()
        while not (events := protocol.events_received()):
            protocol.receive_data(peer.recv(4096))
        (request,) = events
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        for data in protocol.data_to_send():
            peer.sendall(data)

    threading.Thread(target=greet_and_say_nothing_more, daemon=True).start()
    with reading(f"ws://127.0.0.1:{port}") as reader:
        begun_ns = SystemClock().now_ns()
        assert reader.next() == "source_lost"
        took_s = (SystemClock().now_ns() - begun_ns) / 1e9
    for peer in held:
        peer.close()
    listener.close()
    assert took_s < 4.0  # 1.9 s on a quiet machine
    assert not [record for record in caplog.records if record.exc_info]


def test_a_server_that_is_not_there_or_refuses_is_a_clear_error():
    with pytest.raises(SourceError, match="it cannot be reached"):
        TextFeed(TextSettings(path="ws://127.0.0.1:1/?token=secret"), stream="s")
    guarded = Chat(process_request=lambda connection, request: connection.respond(401, "no"))
    with pytest.raises(SourceError, match="it answered with HTTP status 401") as told:
        TextFeed(TextSettings(path=f"ws://127.0.0.1:{guarded.port}/?token=secret"), stream="s")
    assert "secret" not in str(told.value)
    guarded.stop()
