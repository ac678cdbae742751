"""No part of a password or token is left in what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.redact import redacted, redacted_tree


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("rtsp://u:pw@h:554/x", "rtsp://***@h:554/x"),
        ("rtsp://u:p@ss@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p/w@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p?w#@h/x", "rtsp://***@h/x"),
        ("http://h/x?token=abc&b=1", "http://h/x?token=***&b=***"),
        ("tcp://127.0.0.1:7100", "tcp://127.0.0.1:7100"),
        ("clips/a@b.mp4", "clips/a@b.mp4"),
        ("-", "-"),
    ],
)
def test_what_is_shown_of_an_address(address: str, says: str) -> None:
    assert redacted(address) == says
    assert redacted_tree({"streams": [{"url": address, "n": 1}]}) == {
        "streams": [{"url": says, "n": 1}]
    }


@given(st.text())
def test_any_password_is_hidden(secret: str) -> None:
    assert redacted(f"rtsp://u:<{secret}>@camera/1") == "rtsp://***@camera/1"
