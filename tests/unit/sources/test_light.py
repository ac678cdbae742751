"""Light of pictures between the looks: of media, scenes and cameras, each at its own time."""

from __future__ import annotations

import numpy as np
import pytest
from media_factory import grey, write_clip
from source_items import HOP_NS, take
from test_camera import BEGIN_NS, FRAME_NS, shots

from streaming.clock import NS_PER_S, HandClock
from streaming.packets import Packet
from streaming.settings import VisionSettings
from streaming.source_settings import CameraSettings, MediaSettings, SyntheticSettings
from streaming.sources.between import LightLog
from streaming.sources.camera import CameraSource
from streaming.sources.faces import FaceReducer
from streaming.sources.media import MediaSource
from streaming.sources.open import open_source
from streaming.sources.scripted_devices import ScriptedFrames
from streaming.sources.synthetic import SyntheticSource

ALL = VisionSettings(light_hz=60)


def lights(packets: list[Packet]) -> list[tuple[int, float]]:
    return [(p.t_ns - a.before_ns, a.level) for p in packets for a in p.payload.light]


def media(path, vision: VisionSettings) -> list[Packet]:
    spec = MediaSettings(url=str(path))
    return take(MediaSource(spec, stream="s", vision=vision, hop_ns=HOP_NS)).video


def test_every_picture_of_a_file_is_followed_up_to_the_last_look(tmp_path):
    path = write_clip(tmp_path / "c.mp4")
    found = lights(media(path, ALL))
    # looks at 0, 0.25, ... 1.75 s; pictures 40 ms apart, the last look is number 44
    assert [t for t, _ in found] == [i * FRAME_NS for i in range(45)]
    assert [level for _, level in found] == pytest.approx([grey(i) for i in range(45)], abs=5)


def test_light_is_followed_at_the_rate_asked_for_and_not_unless_asked(tmp_path):
    path = write_clip(tmp_path / "c.mp4")
    assert lights(media(path, VisionSettings())) == []
    times = [t for t, _ in lights(media(path, VisionSettings(light_hz=10)))]
    assert times[:4] == [0, 3 * FRAME_NS, 5 * FRAME_NS, 8 * FRAME_NS]


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "bgra", "gray"])
def test_light_of_other_pixel_formats(tmp_path, pix_fmt):
    path = write_clip(tmp_path / "c.mkv", codec="ffv1", pix_fmt=pix_fmt, seconds=1)
    levels = [level for _, level in lights(media(path, ALL))]
    assert levels == pytest.approx([grey(i) for i in range(len(levels))], abs=6)
    assert len(levels) >= 19


def test_a_camera_gives_the_light_of_frames_that_nobody_looks_at():
    clock = HandClock(BEGIN_NS)
    picture = lambda i: np.full((90, 160, 3), 200 if i % 25 < 3 else 50, np.uint8)  # noqa: E731
    port = ScriptedFrames(clock, FRAME_NS, shots(5, driver="session", picture=picture))
    settings = CameraSettings(device=3, duration_s=4)
    source = CameraSource(settings, stream="s", vision=ALL, clock=clock, open_port=lambda: port)
    packets = [i for i in source.items() if isinstance(i, Packet)]
    found = lights(packets)
    assert len(packets) == pytest.approx(16, abs=2)
    assert len(found) == pytest.approx(4 * 25, abs=8)
    # frame 0, 25, 50, ... is the first lit one of three
    bright = {round((t - BEGIN_NS) / FRAME_NS) % 25 for t, level in found if level > 120}
    assert bright == {0, 1, 2}


def test_the_cards_flashes_are_marked_where_they_are():
    vision = VisionSettings(light_hz=23.976)
    spec = SyntheticSettings(duration_s=5)
    source = SyntheticSource(spec, stream="s", vision=vision, hop_ns=HOP_NS)
    reducer = FaceReducer(VisionSettings())
    seen = [reducer.observe(p) for p in take(source).video]
    marks = [(p.t_ns + m.from_ns, p.t_ns + m.to_ns) for p in seen for m in p.payload.flashes]
    assert len(marks) == 4
    for (a, b), truth_ns in zip(marks, source.truth.flashes_ns, strict=True):
        assert a < truth_ns <= b
        assert b - a <= NS_PER_S / 23.9


def test_light_that_nobody_looks_at_does_not_pile_up():
    log = LightLog(100)
    for i in range(5000):
        log.add(i, 0.0)
    assert len(log.take(5000)) == 1000
    assert log.take(5000) == ()


@pytest.mark.parametrize("light_hz", [0.0, 25.0])
def test_sound_is_marked_by_its_source_where_light_is_followed(light_hz):
    vision = VisionSettings(light_hz=light_hz)
    spec = SyntheticSettings(duration_s=4)
    source = open_source(spec, stream="s", vision=vision, hop_ns=HOP_NS)
    heard = take(source).audio
    marks = [(p.t_ns + m.from_ns, p.t_ns + m.to_ns) for p in heard for m in p.payload.onsets]
    assert len(marks) == (3 if light_hz else 0)
    for k, (a, b) in enumerate(marks, 1):
        assert a <= k * NS_PER_S <= b
