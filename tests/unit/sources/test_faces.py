"""Faces followed from look to look: a scripted detector for the rules, pictures for the rest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streaming.errors import SourceError
from streaming.packets import AudioChunk, FaceObservation, Modality, Packet, VideoFrame
from streaming.settings import VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.face_detectors import Detection
from streaming.sources.face_tracking import VERIFY_LOOKS, FaceTracker
from streaming.sources.faces import CROP_PX, MAX_FACES, FaceReducer, HaarDetector, YuNetDetector
from streaming.sources.open import open_source

LOOK_NS = 250_000_000


class SquareDetector:
    """Takes bright squares for faces; can be told to be blind, or to doubt what it sees."""

    framing = 1.0

    def __init__(self) -> None:
        self.blind = False
        self.doubts = False
        self.full_scans = 0
        self.pixels = 0

    def detect(self, rgb, min_px, max_px, *, near=False):
        self.full_scans += not near
        self.pixels += rgb.shape[0] * rgb.shape[1]
        if self.blind:
            return []
        count, _, stats, _ = cv2.connectedComponentsWithStats((rgb[..., 0] > 200).astype(np.uint8))
        boxes = [tuple(float(v) for v in stats[i, :4]) for i in range(1, count)]
        return [Detection(box, 0.9) for box in boxes if min_px <= box[2] <= max_px]

    def verify(self, rgb, min_px, max_px):
        return not self.doubts


def picture(*squares: tuple[int, int, int], size=(360, 640)) -> np.ndarray:
    """Squares (x, y, side) of a shaded white on black."""
    pixels = np.zeros((*size, 3), np.uint8)
    for x, y, side in squares:
        shade = np.linspace(210, 255, side).astype(np.uint8)
        pixels[y : y + side, x : x + side] = shade[:, None, None]
    return pixels


@pytest.fixture
def detector() -> SquareDetector:
    return SquareDetector()


@pytest.fixture
def tracker(detector) -> FaceTracker:
    return FaceTracker(detector, 0.08)


def looks(tracker: FaceTracker, *pictures: np.ndarray, start: int = 0) -> list[list[int]]:
    """Ids of the faces reported at each look."""
    return [
        [t.track_id for t in tracker.look(p, (start + i) * LOOK_NS)] for i, p in enumerate(pictures)
    ]


def test_a_face_is_reported_from_the_second_look_on(tracker):
    assert looks(tracker, *[picture((200, 100, 120))] * 4) == [[], [0], [0], [0]]


def test_a_single_look_is_never_reported(tracker):
    seen = picture((200, 100, 120))
    nothing = picture()
    assert looks(tracker, nothing, seen, nothing, nothing) == [[], [], [], []]


def test_an_id_stays_with_a_face_that_moves_and_grows(tracker):
    path = [picture((200 + 20 * i, 100, 120 + 4 * i)) for i in range(8)]
    assert looks(tracker, *path) == [[]] + [[0]] * 7


def test_one_missed_look_is_bridged_and_two_are_not(tracker, detector):
    seen = picture((200, 100, 120))
    assert looks(tracker, seen, seen) == [[], [0]]
    detector.blind = True
    assert looks(tracker, seen, seen, start=2) == [[0], []]


def test_a_cut_to_another_scene_is_not_bridged(tracker):
    seen = picture((200, 100, 120))
    assert looks(tracker, seen, seen, picture(), picture()) == [[], [0], [], []]


def test_a_face_that_comes_back_after_a_missed_look_keeps_its_id(tracker, detector):
    seen = picture((200, 100, 120))
    looks(tracker, seen, seen)
    detector.blind = True
    looks(tracker, seen, start=2)
    detector.blind = False
    assert looks(tracker, seen, start=3) == [[0]]


def test_what_the_second_opinion_doubts_is_never_reported(tracker, detector):
    detector.doubts = True
    poster = picture((200, 100, 120))
    assert looks(tracker, *[poster] * (3 * VERIFY_LOOKS)) == [[]] * (3 * VERIFY_LOOKS)
    assert tracker._next_id == 1  # a rejected place is not taken up again


def test_largest_first_with_ids_of_their_own(tracker):
    both = picture((50, 100, 100), (350, 80, 180))
    reported = looks(tracker, both, both)[1]
    boxes = {t.track_id: t.box[2] for t in tracker.look(both, 2 * LOOK_NS)}
    assert len(reported) == len(set(reported)) == 2
    assert boxes[reported[0]] > boxes[reported[1]]


def test_a_second_face_is_found_while_one_is_followed(tracker):
    one, two = picture((50, 100, 110)), picture((50, 100, 110), (400, 100, 110))
    looks(tracker, *[one] * 4)
    found = looks(tracker, *[two] * 10, start=4)
    assert [len(f) for f in found].index(2) <= 5  # scanned for once a second, then confirmed


def test_a_followed_face_costs_no_full_scan_at_each_look(tracker, detector):
    looks(tracker, *[picture((200, 100, 120))] * 40)
    assert detector.full_scans <= 11  # once a second


def test_a_change_of_resolution_keeps_the_face(tracker):
    large, small = picture((200, 100, 120)), picture((100, 50, 60), size=(180, 320))
    assert looks(tracker, large, large, small, small) == [[], [0], [0], [0]]


def test_a_change_of_form_starts_anew(tracker):
    wide, high = picture((200, 100, 120)), picture((100, 300, 120), size=(640, 360))
    assert looks(tracker, wide, wide, high, high) == [[], [0], [], [1]]


def test_times_that_fall_back_do_no_harm(tracker):
    seen = picture((200, 100, 120))
    for t_ns in (5 * LOOK_NS, 0, 3 * LOOK_NS):
        faces = tracker.look(seen, t_ns)
    assert len(faces) == 1


def frame(pixels: np.ndarray, seq: int = 0) -> Packet:
    pixels.flags.writeable = False
    return Packet(
        stream="s",
        modality=Modality.VIDEO,
        seq=seq,
        t_ns=seq * LOOK_NS,
        duration_ns=LOOK_NS,
        uncertainty_ns=7,
        received_ns=9,
        payload=VideoFrame(pixels=pixels),
    )


def observe(reducer: FaceReducer, *pictures: np.ndarray) -> list[FaceObservation]:
    return [reducer.observe(frame(p, i)).payload for i, p in enumerate(pictures)]


def test_an_observation_keeps_the_frames_own_times(detector):
    packet = frame(picture((200, 100, 120)), 3)
    seen = FaceReducer(VisionSettings(), detector).observe(packet)
    for name in ("stream", "modality", "seq", "t_ns", "duration_ns", "uncertainty_ns"):
        assert getattr(seen, name) == getattr(packet, name)
    assert seen.received_ns == 9
    assert (seen.payload.frame_width_px, seen.payload.frame_height_px) == (640, 360)
    assert seen.payload.faces == ()


def test_a_crop_is_the_face_as_a_square(detector):
    reducer = FaceReducer(VisionSettings(), detector)
    face = observe(reducer, *[picture((200, 100, 120))] * 3)[-1].faces[0]
    assert face.pixels.shape == (CROP_PX, CROP_PX, 3)
    assert face.pixels.dtype == np.uint8
    assert not face.pixels.flags.writeable
    assert face.box_px == (200, 100, 120, 120)
    assert face.pixels.min() >= 205  # nothing of the black around it


def test_a_crop_beyond_the_border_repeats_the_border(detector):
    reducer = FaceReducer(VisionSettings(), detector)
    seen = picture((0, 0, 100))
    seen[:100, :60] = 0  # leaves a box of 40 x 100 at the edge: its square reaches outside
    seen[:100, :40] = 230
    face = observe(reducer, seen, seen)[-1].faces[0]
    assert face.pixels[:, 0].min() >= 200


def test_at_most_five_faces(detector):
    squares = [(20 + 90 * i, 50 + 120 * j, 50 + 2 * i) for i in range(6) for j in range(2)]
    faces = observe(FaceReducer(VisionSettings(), detector), *[picture(*squares)] * 3)[-1].faces
    assert len(faces) == MAX_FACES
    sizes = [f.box_px[2] for f in faces]
    assert sizes == sorted(sizes, reverse=True)


def test_what_is_no_frame_passes_through(detector):
    sound = AudioChunk(samples=np.zeros((8, 1), np.float32), sample_rate_hz=16_000)
    packet = Packet(stream="s", modality=Modality.AUDIO, seq=0, t_ns=0, payload=sound)
    assert FaceReducer(VisionSettings(), detector).observe(packet) is packet


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (23, 23), (2000, 30)])
def test_frames_of_any_size(size):
    reducer = FaceReducer(VisionSettings())
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert all(o.faces == () for o in observe(reducer, noise, noise.copy()))


def test_haar_sees_nobody_in_noise_and_shapes():
    reducer = FaceReducer(VisionSettings())
    rng = np.random.default_rng(1)
    noise = [cv2.resize(rng.integers(0, 255, (18, 32, 3), np.uint8), (640, 360)) for _ in range(6)]
    assert all(o.faces == () for o in observe(reducer, *noise, *[picture((200, 100, 120))] * 3))


def test_haar_follows_the_portrait_and_sees_it_go():
    pytest.importorskip("skimage", reason="needs the packages of attune[demo]: scikit-image")
    pytest.importorskip("espeakng_loader", reason="needs the packages of attune[demo]")
    settings = SyntheticSettings(scene="portrait", duration_s=20)
    source = open_source(settings, stream="s", vision=VisionSettings(), hop_ns=2 * LOOK_NS)
    reducer = FaceReducer(VisionSettings())
    seen = {
        p.t_ns: len(reducer.observe(p).payload.faces)
        for p in source.items()
        if isinstance(p, Packet) and p.modality is Modality.VIDEO
    }
    for t_ns, faces in seen.items():
        here = any(a + LOOK_NS <= t_ns < b for a, b in source.truth.faces)
        assert faces == here, t_ns


def test_a_missing_model():
    with pytest.raises(SourceError, match=r"no file none\.onnx"):
        FaceReducer(VisionSettings(detector="none.onnx"))


def test_a_file_that_is_no_model(tmp_path, capfd):
    (tmp_path / "bad.onnx").write_bytes(b"not a model" * 100)
    with pytest.raises(SourceError, match="is not a YuNet ONNX model"):
        YuNetDetector(str(tmp_path / "bad.onnx"))
    assert capfd.readouterr().err == ""


def test_haar_box_is_in_pixels_of_the_picture():
    astronaut = pytest.importorskip("skimage.data", reason="needs attune[demo]").astronaut()
    for scale in (0.5, 1.0, 2.0):
        rgb = cv2.resize(astronaut, None, fx=scale, fy=scale)
        (found,) = HaarDetector().detect(rgb, 60 * scale, 300 * scale)
        x, y, w, h = (v / scale for v in found.box)
        assert x < 222 < x + w
        assert y < 115 < y + h
        assert 70 < w < 160
