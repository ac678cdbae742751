"""CURVE over real sockets: the right key is let in, everything else is refused and counted."""

from __future__ import annotations

import stat
import time

import pytest
import zmq

from attune.addresses import beside
from attune.client import Delivery, Subscription
from streaming.errors import UsageError
from streaming.health import Health, HealthKind
from streaming.keys import make_client_keys, make_server_keys, read_server_keys
from streaming.results import Heartbeat
from streaming.sinks import Publisher, ZmqPublisher, open_replay


@pytest.fixture
def folders(tmp_path):
    server, client = tmp_path / "server", tmp_path / "client"
    make_server_keys(server)
    make_client_keys(server, client, "desk")
    return server, client


@pytest.fixture
def published(folders):
    """A publisher on every interface, with a replay port, beating."""
    keys = read_server_keys(folders[0])
    sink = ZmqPublisher("tcp://0.0.0.0:*", keys)
    server = open_replay(sink.address, span_s=60, max_bytes=10**6, keys=keys)
    publisher = Publisher([server, sink], heartbeat_ms=1)
    yield publisher, sink, f"tcp://127.0.0.1:{sink.address.rpartition(':')[2]}"
    publisher.close()


def hears(publisher, subscription, limit_s: float) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        publisher.beat(time.monotonic_ns())
        if subscription.receive(20):
            return True
    return False


def test_the_right_key_gets_everything_the_replay_port_too(folders, published):
    publisher, _, address = published
    publisher.publish(Health(stream="cam", kind=HealthKind.GAP, t_ns=0))
    with Subscription(address, latest=True, keys=folders[1]) as subscription:
        assert hears(publisher, subscription, 20)
        publisher.publish(Health(stream="cam", kind=HealthKind.GAP, t_ns=1))
        items = []
        while came := subscription.receive(300):
            items += came
    data = [i for i in items if isinstance(i, Delivery) and not isinstance(i.message, Heartbeat)]
    assert [i.message.seq for i in data] == [2]
    assert subscription._reception._port is not None  # it found the port of a publisher on 0.0.0.0


def test_no_key_a_strangers_and_a_withdrawn_key_get_nothing(folders, published, tmp_path):
    publisher, sink, address = published
    make_server_keys(tmp_path / "other")
    make_client_keys(tmp_path / "other", tmp_path / "stranger", "stranger")
    (tmp_path / "stranger" / "server.key").write_bytes((folders[0] / "server.key").read_bytes())
    with Subscription(address) as nobody, Subscription(address, keys=tmp_path / "stranger") as one:
        assert not hears(publisher, nobody, 0.5)
        assert not hears(publisher, one, 0.5)
    assert sink._bound.refused >= 1
    (folders[0] / "clients" / "desk.key").unlink()
    with Subscription(address, keys=folders[1]) as withdrawn:
        assert not hears(publisher, withdrawn, 0.5)


def test_who_asks_for_another_server_hears_nothing(folders, published, tmp_path):
    publisher, _, address = published
    make_server_keys(tmp_path / "other")
    (folders[1] / "server.key").write_bytes((tmp_path / "other" / "server.key").read_bytes())
    with Subscription(address, keys=folders[1]) as subscription:
        assert not hears(publisher, subscription, 0.5)


def test_rude_bytes_do_not_disturb_the_service(folders, published):
    publisher, _, address = published
    with zmq.Context() as context, context.socket(zmq.STREAM) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(address)
        identity = raw.recv_multipart()[0]
        raw.send_multipart((identity, b"\x00\xff" * 5000))
        with Subscription(address, keys=folders[1]) as subscription:
            assert hears(publisher, subscription, 20)


def test_secrets_are_their_owners_alone(folders):
    for path in (folders[0] / "server.key_secret", folders[1] / "client.key_secret"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    (folders[0] / "server.key_secret").chmod(0o644)
    with pytest.raises(UsageError, match="others can read this secret key: chmod 600"):
        read_server_keys(folders[0])


def test_keys_are_not_overwritten_and_faults_are_one_line(folders, tmp_path):
    with pytest.raises(UsageError, match="there is a key already"):
        make_server_keys(folders[0])
    with pytest.raises(UsageError, match="make it by attune keys server"):
        make_client_keys(tmp_path / "none", tmp_path / "c", "desk")
    with pytest.raises(UsageError, match="letters, digits"):
        make_client_keys(folders[0], tmp_path / "c", "../desk")
    with pytest.raises(UsageError, match="no such file: see attune keys"):
        read_server_keys(tmp_path)
    (folders[0] / "server.key_secret").write_text("nonsense")
    with pytest.raises(UsageError, match="expected a key as attune keys makes them"):
        read_server_keys(folders[0])
    with pytest.raises(UsageError, match="no such file"):
        Subscription("tcp://127.0.0.1:7100", keys=tmp_path)


def test_without_keys_a_public_address_stays_refused():
    with pytest.raises(UsageError, match="without keys: other hosts can reach it"):
        ZmqPublisher("tcp://0.0.0.0:*")


@pytest.mark.parametrize(
    ("address", "told", "place"),
    [
        ("tcp://camera.lan:7100", "tcp://0.0.0.0:7101", "tcp://camera.lan:7101"),
        ("tcp://[::1]:7100", "tcp://[::]:9", "tcp://[::1]:9"),
        ("ipc:///a", "ipc:///a-replay", "ipc:///a-replay"),
    ],
)
def test_the_replay_port_is_looked_for_where_the_publisher_was_found(address, told, place):
    assert beside(address, told) == place
