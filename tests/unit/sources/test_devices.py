"""Devices that are not there are told of in one line; nothing lands on stderr."""

from __future__ import annotations

import pytest

from streaming.errors import SourceError
from streaming.settings import VisionSettings
from streaming.source_settings import CameraSettings, MicrophoneSettings
from streaming.sources import device_list
from streaming.sources.device_list import list_devices
from streaming.sources.open import open_source


def refusal(settings) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(settings, stream="s", vision=VisionSettings(), hop_ns=500_000_000)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_camera_that_is_not_there(capfd):
    message = refusal(CameraSettings(device=97))
    assert message.startswith("camera 97: not found. This machine has ")
    assert capfd.readouterr().err == ""


def test_the_message_lists_what_there_is(monkeypatch):
    there = [("camera", 0, "Built-in", "/dev/video0"), ("microphone", 1, "USB", "1 ch")]
    monkeypatch.setattr(device_list, "list_devices", lambda: there)
    assert refusal(CameraSettings(device=97)).endswith("This machine has 0: Built-in.")


def test_without_portaudio_the_message_says_what_to_install(monkeypatch):
    def missing() -> None:
        raise SourceError(device_list.PORTAUDIO_MISSING)

    monkeypatch.setattr("streaming.sources.portaudio_port.portaudio", missing)
    assert "apt install libportaudio2" in refusal(MicrophoneSettings())


def test_listing_is_quiet_and_typed(capfd):
    for kind, index, name, detail in list_devices():
        assert kind in ("camera", "microphone")
        assert isinstance(index, int)
        assert name
        assert isinstance(detail, str)
    assert capfd.readouterr().err == ""
