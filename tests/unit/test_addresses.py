"""Addresses of publishers: the ports that there are, and the host by which one was reached."""

from __future__ import annotations

import pytest

from attune.addresses import beside, require_address
from streaming.errors import UsageError


@pytest.mark.parametrize("port", [1, 65535])
def test_all_ports_are_taken(port: int) -> None:
    require_address(f"tcp://camera.lan:{port}")


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_ports_that_there_are_not_are_refused(port: int) -> None:
    with pytest.raises(UsageError, match="expected an address like tcp://"):
        require_address(f"tcp://camera.lan:{port}")


@pytest.mark.parametrize(
    ("address", "told", "place"),
    [
        ("tcp://camera.lan:7100", "tcp://0.0.0.0:7101", "tcp://camera.lan:7101"),
        ("ipc:///run/a", "ipc:///run/a-replay", "ipc:///run/a-replay"),
        ("ipc:///run/a", "tcp://127.0.0.1:7101", "tcp://127.0.0.1:7101"),
    ],
)
def test_the_replay_port_is_looked_for_beside_the_publisher(address, told, place) -> None:
    assert beside(address, told) == place
