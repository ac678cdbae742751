"""Crops levelled by the eyes, on a drawn face and on a real portrait turned about its middle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streaming.settings import VisionSettings
from streaming.sources.face_detectors import YuNetDetector
from streaming.sources.faces import FaceReducer, level, square_crop

BOX = (60.0, 60.0, 80.0, 80.0)
MIDDLE = np.array([100.0, 100.0])
EYES = np.array([[85.0, 90.0], [115.0, 90.0]])


def drawn() -> np.ndarray:
    """A face of two dark eyes and a mouth on grey, smooth enough to be turned without loss."""
    picture = np.full((200, 200, 3), 160, np.uint8)
    for eye in EYES.astype(int).tolist():
        cv2.circle(picture, eye, 6, (20, 20, 20), -1)
    cv2.ellipse(picture, (100, 120), (18, 6), 0, 0, 180, (60, 30, 30), -1)
    return cv2.GaussianBlur(picture, (0, 0), 2.0)


def turned(picture: np.ndarray, degrees: float, middle: np.ndarray) -> np.ndarray:
    """The picture turned clockwise as one sees it."""
    by = cv2.getRotationMatrix2D(middle.tolist(), -degrees, 1.0)
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, by, size, borderMode=cv2.BORDER_REPLICATE)


def turned_points(points: np.ndarray, degrees: float, middle: np.ndarray) -> np.ndarray:
    by = cv2.getRotationMatrix2D(middle.tolist(), -degrees, 1.0)
    return points @ by[:, :2].T + by[:, 2]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in grey levels, the rim left out: there the border was repeated."""
    inner = slice(8, -8)
    return float(np.abs(a[inner, inner].astype(float) - b[inner, inner].astype(float)).mean())


@pytest.mark.parametrize("degrees", [-40, -15, 15, 40])
def test_a_tilted_face_is_cut_as_an_upright_one(degrees: float) -> None:
    upright = square_crop(drawn(), BOX, 1.0)
    picture, eyes = turned(drawn(), degrees, MIDDLE), turned_points(EYES, degrees, MIDDLE)
    levelled = level(picture, BOX, 1.0, eyes)
    assert levelled.shape == (64, 64, 3) and not levelled.flags.writeable
    assert apart(levelled, upright) < 1.5
    assert apart(square_crop(picture, BOX, 1.0), upright) > 4 * apart(levelled, upright)


def test_level_eyes_and_unknown_eyes_change_nothing() -> None:
    upright = square_crop(drawn(), BOX, 1.0)
    assert np.array_equal(level(drawn(), BOX, 1.0, EYES), upright)
    assert np.array_equal(level(drawn(), BOX, 1.0, np.full((2, 2), np.nan)), upright)


def test_a_face_at_the_border_is_cut_whole() -> None:
    crop = level(drawn(), (-30.0, 150.0, 80.0, 80.0), 1.0, EYES + np.array([[0, 0], [0, 12]]))
    assert crop.shape == (64, 64, 3) and crop.min() > 0


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_tilted_portrait_is_followed_and_levelled(data: Path, degrees: float) -> None:
    path = data / "models" / "yunet.onnx"
    if not path.is_file():
        pytest.skip(f"needs the YuNet model {path.name} in the data folder's models/")
    portrait = pytest.importorskip("skimage.data", reason="needs scikit-image").astronaut()
    head = portrait[:400, :450]
    middle = np.array([225.0, 120.0])
    upright = crop_of(path, head)
    picture = turned(head, degrees, middle)
    tilted = crop_of(path, picture)
    assert abs(roll_of(path, tilted)) < 6 < abs(degrees)
    found = YuNetDetector(str(path)).detect(picture, 40, 400)[0]
    assert alike(tilted, upright) > alike(square_crop(picture, found.box, 0.95), upright)


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a[8:-8, 8:-8].ravel(), b[8:-8, 8:-8].ravel())[0, 1])


def crop_of(path: Path, picture: np.ndarray) -> np.ndarray:
    """What the live path makes of a camera that shows this picture three times."""
    from streaming.modality import Modality
    from streaming.packets import FaceObservation, Packet, VideoFrame

    reducer = FaceReducer(VisionSettings(detector=str(path)))
    for i in range(3):
        t_ns = i * 100_000_000
        seen = reducer.observe(
            Packet(
                stream="s",
                modality=Modality.VIDEO,
                seq=i,
                t_ns=t_ns,
                duration_ns=100_000_000,
                uncertainty_ns=0,
                received_ns=t_ns,
                payload=VideoFrame(pixels=picture),
            )
        ).payload
    assert isinstance(seen, FaceObservation) and len(seen.faces) == 1
    return seen.faces[0].pixels


def roll_of(path: Path, crop: np.ndarray) -> float:
    """Degrees between the eyes that the detector finds in a crop."""
    large = cv2.copyMakeBorder(cv2.resize(crop, (192, 192)), 64, 64, 64, 64, cv2.BORDER_REPLICATE)
    found = YuNetDetector(str(path)).detect(large, 60, 320)
    (x0, y0), (x1, y1) = found[0].landmarks[:2]
    return float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
