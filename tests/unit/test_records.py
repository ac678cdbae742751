"""Python's own logging in the log of a run: one line each, with nothing of a person in it."""

from __future__ import annotations

import io
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from actors.messages import HopData, TextSpan
from actors.pulse import Pulse, Pulses
from actors.records import LONGEST, MOST, RecordKeeper, listening
from attune.log import JsonLog
from models.types import Hop
from streaming.clock import HandClock
from streaming.packets import AudioChunk, FaceCrop, VideoFrame

log = logging.getLogger("actors.test")


@pytest.fixture
def keeper():
    keeper = RecordKeeper()
    with listening(keeper):
        yield keeper


def test_a_warning_is_kept_and_what_is_less_is_not(keeper: RecordKeeper) -> None:
    log.info("nothing to see")
    log.warning("stream %s:\n  %d times in %s", "cam", 3, Path("a/b"))
    (said,) = keeper.take()
    assert (said.level, said.logger) == ("warning", "actors.test")
    assert said.message == "stream cam: 3 times in a/b"
    assert keeper.take() == ()


def test_an_exception_is_a_line_without_its_traceback(keeper: RecordKeeper) -> None:
    try:
        raise ValueError("no\nsuch thing")
    except ValueError:
        log.exception("it failed")
    (said,) = keeper.take()
    assert said.message == "it failed: ValueError: no such thing"
    assert said.level == "error"


def test_warnings_of_python_are_heard(keeper: RecordKeeper) -> None:
    warnings.warn("an old graph", UserWarning, stacklevel=1)
    (said,) = keeper.take()
    assert "an old graph" in said.message
    assert said.logger == "py.warnings"


def test_passwords_in_addresses_are_taken_out(keeper: RecordKeeper) -> None:
    log.warning("cannot open %s now", "rtsp://me:secret@camera/1?token=abc")
    (said,) = keeper.take()
    assert "secret" not in said.message
    assert "abc" not in said.message
    assert "camera/1" in said.message


def test_no_picture_no_sound_and_no_bytes_are_logged(keeper: RecordKeeper) -> None:
    pixels = np.full((4, 4, 3), 173, np.uint8)
    crop = FaceCrop(pixels=pixels, box_px=(1, 2, 3, 4), track_id=0, score=1.0)
    sound = AudioChunk(samples=np.full((4, 1), 0.173, np.float32), sample_rate_hz=16_000)
    data = HopData(
        start_ns=0,
        end_ns=1,
        faces=pixels,
        audio=sound.samples,
        audio_coverage=1.0,
        texts=(TextSpan(start_ns=0, end_ns=1, text="173"),),
    )
    frame = VideoFrame(pixels=pixels)
    hop = Hop(start_ns=0, end_ns=1, faces=pixels, audio=sound.samples, audio_coverage=1.0)
    for value in (crop, frame, sound, data, hop, [crop], {"a": crop}, pixels, b"173173"):
        log.warning("got %s and %r", value, value)
        log.warning(value)
        if not isinstance(value, bytes | np.ndarray):
            log.warning(f"got {value!r}")
    said = keeper.take()
    assert len(said) == 9 * 3 - 2
    assert not [s.message for s in said if "173" in s.message]


def test_what_does_not_fit_is_counted(keeper: RecordKeeper) -> None:
    for _ in range(MOST + 7):
        log.warning("x" * 2 * LONGEST)
    said = keeper.take()
    assert len(said) == MOST + 1
    assert said[-1].message == "7 more records were left out"
    assert len(said[0].message) == LONGEST


def test_records_and_what_waits_go_with_the_signs_of_life(tmp_path) -> None:
    address = f"ipc://{tmp_path}/pulse"
    pulses, keeper, clock = Pulses(address), RecordKeeper(), HandClock()
    pulse = Pulse(address, "infer", 0, clock, keeper=keeper)
    with listening(keeper):
        log.warning("slow")
    for count in (3, 9, 2):
        pulse.waits(count)
    signs = []
    while not signs:
        clock.advance(10**9)
        pulse.beat()
        signs = pulses.read()
    assert signs[0].waiting == 9
    assert [said.message for said in signs[0].records] == ["slow"]
    clock.advance(10**9)
    pulse.beat(now=True)
    while len(signs) < 2:
        signs += pulses.read()
    assert (signs[1].waiting, signs[1].records) == (0, ())
    pulse.close()
    pulses.close()


def test_the_log_of_the_run_has_the_part_and_the_logger() -> None:
    out = io.StringIO()
    with JsonLog(out, 500_000_000).heard():
        log.warning("of the driver")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["part"], line["logger"], line["level"]) == ("driver", "actors.test", "warning")
    assert line["message"] == "of the driver"
    log.warning("nobody hears this")
    assert len(out.getvalue().splitlines()) == 1
