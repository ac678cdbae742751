"""A process with a microphone ends, also when the driver never gives the device back."""

from __future__ import annotations

import subprocess
import sys

# What sounddevice does at the end: PortAudio waits for every stream that is not closed.
PROGRAM = """
import atexit, sys, threading, types

class InputStream:
    def __init__(self, **options):
        pass
    def start(self):
        pass
    def stop(self, ignore_errors=True):
        {stop}
    def close(self, ignore_errors=True):
        pass

def exit_handler():
    print("PortAudio is ended", flush=True)
    {at_exit}

fake = types.ModuleType("sounddevice")
fake.InputStream, fake._exit_handler = InputStream, exit_handler
fake.PortAudioError = type("PortAudioError", (Exception,), {{}})
fake._initialize = fake._terminate = lambda: None
fake.query_devices = lambda device, kind: {{"max_input_channels": 1, "default_samplerate": 16000.0}}
atexit.register(exit_handler)
sys.modules["sounddevice"] = fake

from streaming.clock import HandClock
from streaming.source_settings import MicrophoneSettings
from streaming.sources.portaudio_port import PortAudioPort

port = PortAudioPort(MicrophoneSettings(), HandClock())
port.start()
port.close()
print("closed", flush=True)
"""
FOR_EVER = "threading.Event().wait()"


def said(stop: str, at_exit: str) -> list[str]:
    program = PROGRAM.format(stop=stop, at_exit=at_exit)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_a_driver_that_hangs_does_not_hold_up_the_end() -> None:
    assert said(stop=FOR_EVER, at_exit=FOR_EVER) == ["closed"]


def test_otherwise_portaudio_is_ended_as_ever() -> None:
    assert said(stop="pass", at_exit="pass") == ["closed", "PortAudio is ended"]
