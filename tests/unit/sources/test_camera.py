"""A scripted camera under a hand-driven clock, and the thread behind OpenCV's seam."""

from __future__ import annotations

import functools
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streaming.clock import NS_PER_MS, NS_PER_S, HandClock, SystemClock
from streaming.errors import PortLostError, SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Packet, Progress
from streaming.settings import VisionSettings
from streaming.source_settings import CameraSettings
from streaming.sources.camera import CameraSource
from streaming.sources.frame_port import Shot
from streaming.sources.opencv_port import OpenCvPort, address
from streaming.sources.scripted_devices import ScriptedFrames

FRAME_NS = NS_PER_S // 25
BEGIN_NS = 1_000 * NS_PER_S


def scene(i: int, size: tuple[int, int] = (320, 180)) -> np.ndarray:
    """A textured picture that differs from those around it."""
    return textured(i % 16, size)


@functools.cache
def textured(i: int, size: tuple[int, int]) -> np.ndarray:
    random = np.random.default_rng(i)
    ramp = np.linspace(30, 220, size[0], dtype=np.float32)[None, :, None]
    noisy = ramp + random.normal(0, 3, (size[1], size[0], 3)).astype(np.float32)
    return noisy.clip(0, 255).astype(np.uint8)


def shots(
    seconds: float,
    *,
    begin_ns: int = BEGIN_NS,
    driver: str = "none",
    delay_ms: float = 30.0,
    picture: Any = scene,
) -> list[Shot]:
    """Frames exposed from `begin_ns` on, in hand after `delay_ms` and up to 5 ms."""
    random, out = np.random.default_rng(2), []
    for i in range(int(seconds * 25)):
        t_ns = begin_ns + i * FRAME_NS
        arrival_ns = t_ns + round((delay_ms + random.uniform(0, 5)) * NS_PER_MS)
        # "session": the driver stamps with our clock; "own": from its own zero, 100 ppm fast
        own_ns = round((t_ns - begin_ns) * (1 + 100e-6)) + 77 * NS_PER_MS
        device_ns = {"session": t_ns, "own": own_ns, "none": 0}[driver]
        pairs = ((device_ns, arrival_ns),) if driver != "none" else ()
        out.append(Shot(pixels=picture(i), arrival_ns=arrival_ns, pairs=pairs))
    return out


def watch(*ports: object, seconds: float, clock: HandClock) -> list:
    waiting = list(ports)

    def open_port() -> ScriptedFrames:
        port = waiting.pop(0) if waiting else SourceError("not there")
        if isinstance(port, Exception):
            raise port
        assert isinstance(port, ScriptedFrames)
        return port

    settings = CameraSettings(device=3, duration_s=seconds)
    source = CameraSource(
        settings, stream="s", vision=VisionSettings(), clock=clock, open_port=open_port
    )
    return list(source.items())


def seen(script: list, seconds: float, complaint: str = "") -> list:
    clock = HandClock(BEGIN_NS)
    port = ScriptedFrames(clock, FRAME_NS, script, complaint=complaint)
    return watch(port, seconds=seconds, clock=clock)


def promises(items: list) -> list[int]:
    return [i.t_ns for i in items if isinstance(i, Progress) and not i.ended]


def in_order(items: list) -> None:
    """Nothing comes from before what was promised."""
    promised_ns = 0
    for item in items:
        if isinstance(item, Progress):
            promised_ns = max(item.t_ns, promised_ns)
        elif isinstance(item, Packet):
            assert item.t_ns >= promised_ns


def kinds(items: list) -> list[HealthKind]:
    return [i.kind for i in items if isinstance(i, Health)]


@pytest.mark.parametrize(
    ("driver", "worst_ms", "stated_ms"), [("session", 0.001, 20), ("own", 12, 50), ("none", 6, 40)]
)
def test_frames_are_dated_at_their_exposure(driver, worst_ms, stated_ms):
    items = seen(shots(60, driver=driver, delay_ms=35), 59)
    packets = [i for i in items if isinstance(i, Packet)]
    #  exposure |--- 35 to 40 ms ---| in hand      frames lie 40 ms apart
    error = [(p.t_ns - BEGIN_NS + FRAME_NS // 2) % FRAME_NS - FRAME_NS // 2 for p in packets]
    assert max(map(abs, error)) <= worst_ms * NS_PER_MS
    assert all(abs(e) <= p.uncertainty_ns for e, p in zip(error, packets, strict=True))
    assert np.median([p.uncertainty_ns for p in packets]) <= stated_ms * NS_PER_MS
    assert [p.seq for p in packets] == list(range(len(packets)))
    assert len(packets) == pytest.approx(59 * 4, abs=3)
    assert kinds(items) == []


def test_a_camera_that_stops_is_lost_tried_again_and_found():
    clock = HandClock(BEGIN_NS)
    again_ns = BEGIN_NS + 7 * NS_PER_S
    first = ScriptedFrames(clock, FRAME_NS, [*shots(2), 60 * NS_PER_S])
    silence_ns = 2700 * NS_PER_MS
    second = ScriptedFrames(clock, FRAME_NS, [silence_ns, *shots(4, begin_ns=again_ns)])
    items = watch(first, *[SourceError("not there")] * 3, second, seconds=10, clock=clock)
    #  0 .... 2 s         3.5 s          tries, each later than the last     7 s ....
    #  frames | nothing   | source_lost  x    x      x             open      | recovered
    lost, back = (i for i in items if isinstance(i, Health))
    assert (lost.kind, back.kind) == (HealthKind.SOURCE_LOST, HealthKind.RECOVERED)
    assert lost.t_ns - (BEGIN_NS + 2 * NS_PER_S) <= 2 * NS_PER_S
    assert back.t_ns >= again_ns
    assert "\n" not in lost.detail and lost.detail.startswith("camera 3: ")
    times = [i.t_ns for i in items if isinstance(i, Packet)]
    assert times == sorted(set(times))
    assert sum(t >= again_ns - FRAME_NS for t in times) >= 10
    assert first.closed
    assert isinstance(items[-1], Progress) and items[-1].ended
    away = [p for p in promises(items) if BEGIN_NS + 4 * NS_PER_S < p < again_ns]
    assert max(b - a for a, b in pairwise(away)) <= 200 * NS_PER_MS
    assert away[-1] > again_ns - 500 * NS_PER_MS
    in_order(items)


@pytest.mark.parametrize("driver", ["session", "none"])
def test_between_two_pictures_each_frame_is_a_promise(driver):
    # frames   | | | | | | |      each 40 ms, one in 250 ms is looked at
    # told     p . . . . . p      the others say only that nothing older comes
    items = seen(shots(10, driver=driver), 9.5)
    times = [i.t_ns for i in items if isinstance(i, Packet | Progress)]
    assert max(b - a for a, b in pairwise(times)) <= FRAME_NS + 6 * NS_PER_MS
    in_order(items)


def test_frames_that_the_driver_keeps_to_itself_are_promised_too():
    port = Passing(HandClock(BEGIN_NS), FRAME_NS, shots(10))
    items = watch(port, seconds=9.5, clock=port.clock)
    times = [i.t_ns for i in items if isinstance(i, Packet | Progress)]
    assert sum(isinstance(i, Packet) for i in items) == pytest.approx(9.5 * 4, abs=2)
    assert max(b - a for a, b in pairwise(times)) <= FRAME_NS + 6 * NS_PER_MS
    in_order(items)


class Passing(ScriptedFrames):
    """Gives what is wanted only, as OpenCV's port does."""

    def __init__(self, clock: HandClock, frame_ns: int, script: list) -> None:
        super().__init__(clock, frame_ns, script)
        self.clock = clock

    def read(self, timeout_s: float, from_ns: int) -> Shot | None:
        shot = super().read(timeout_s, from_ns)
        return shot if shot is not None and shot.arrival_ns >= from_ns else None


def test_a_camera_that_comes_and_goes_is_tried_less_and_less():
    clock = HandClock(BEGIN_NS)
    bursts = [ScriptedFrames(clock, FRAME_NS, shots(0.4)) for _ in range(9)]
    items = watch(*bursts, seconds=20, clock=clock)
    lost = [i.t_ns for i in items if isinstance(i, Health) and i.kind is HealthKind.SOURCE_LOST]
    #  lost, 0.25 s, lost, 0.5 s, lost, 1 s, lost, 2 s, ...
    apart = [(b - a) / NS_PER_S for a, b in pairwise(lost)]
    assert apart == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert items[-1].ended and clock.now_ns() - BEGIN_NS <= 20.5 * NS_PER_S  # not when it is due


def test_a_driver_that_fails_is_lost_at_once():
    failing = [*shots(1), PortLostError("it gives no more frames")]
    (lost,) = (i for i in seen(failing, 3) if isinstance(i, Health))
    assert lost.kind is HealthKind.SOURCE_LOST
    assert lost.t_ns - (BEGIN_NS + NS_PER_S) < 100 * NS_PER_MS


def test_a_camera_that_changes_its_resolution_is_told_of():
    def changing(i: int) -> np.ndarray:
        return scene(i, (320, 180) if i < 50 else (1920, 1080))

    items = seen(shots(4, picture=changing), 3.9)
    (told,) = (i for i in items if isinstance(i, Health))
    assert (told.kind, told.detail) == (
        HealthKind.FORMAT,
        "the camera changed from 320x180 to 1920x1080",
    )
    sizes = {i.payload.pixels.shape for i in items if isinstance(i, Packet)}
    assert sizes == {(180, 320, 3), (720, 1280, 3)}


def test_another_format_than_asked_and_a_black_picture_are_told():
    def dark(i: int) -> np.ndarray:
        return scene(i) if i < 50 or i >= 150 else np.zeros((180, 320, 3), np.uint8)

    items = seen(shots(10, picture=dark), 9.9, complaint="asked for 4k, the camera gives 640x480")
    assert kinds(items) == [HealthKind.FORMAT, HealthKind.BLACK, HealthKind.RECOVERED]


class Frames:
    """A capture whose frames come when the test says so."""

    def __init__(self) -> None:
        self.left = threading.Semaphore(0)
        self.count, self.taken, self.released = 0, 0, False
        self.ended = False

    def grab(self) -> bool:
        self.left.acquire(timeout=5)
        self.count += not self.ended
        return not self.ended

    def retrieve(self) -> tuple[bool, Any]:
        self.taken += 1
        return True, np.full((4, 4, 3), self.count, np.uint8)

    def get(self, propId: int, /) -> float:
        if propId == cv2.CAP_PROP_POS_MSEC:
            return self.count * 40.0
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}
        return sizes.get(propId, 25.0)

    def set(self, propId: int, value: float, /) -> bool:
        return True

    def release(self) -> None:
        self.released = True


def until(what: Any) -> None:
    end = time.monotonic() + 5
    while not what():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_thread_holds_the_freshest_frame_and_all_times():
    frames, clock = Frames(), HandClock(BEGIN_NS)
    port = OpenCvPort(CameraSettings(width_px=1280), clock, lambda _: frames)
    assert port.complaint == "asked for width 1280, the camera gives 640"
    port.start()
    frames.left.release(3)
    until(lambda: frames.taken == 3)
    shot = port.read(5, clock.now_ns())
    #  frames 1 2 3 | read: 3, with the times of all
    assert shot is not None and shot.pixels[0, 0, 0] == 3
    assert [driver // NS_PER_MS for driver, _ in shot.pairs] == [40, 80, 120]
    # Nothing is decoded that nobody wants yet, but its time is kept.
    assert port.read(0, clock.now_ns() + NS_PER_S) is None
    frames.left.release(2)
    until(lambda: frames.count == 5)
    frames.ended = True
    frames.left.release(50)
    with pytest.raises(PortLostError, match="no more frames"):
        port.read(5, clock.now_ns())
    assert frames.taken == 3
    until(lambda: frames.released)


def test_a_path_is_opened_and_its_end_is_a_loss(tmp_path: Path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 180))
    for i in range(20):
        writer.write(scene(i))
    writer.release()
    assert address(str(path)) == str(path)
    port = OpenCvPort(CameraSettings(device=str(path)), SystemClock())
    assert (port.frame_ns, port.complaint) == (FRAME_NS, "")
    port.start()
    shot = port.read(5, 0)
    assert shot is not None and shot.pixels.shape == (180, 320, 3)
    with pytest.raises(PortLostError):
        for _ in range(30):
            port.read(5, 0)
    port.close()


def test_a_name_that_fits_no_camera_lists_those_that_do():
    with pytest.raises(SourceError, match=r"camera 'no such camera': not found\. This machine has"):
        address("no such camera")
