"""The shipped weights, through the analyser itself, on a subsample of held-out data.

The floors stand well above chance and well below the figures of the model card, so that they catch
broken weights or a broken path, not the noise of a small sample.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from model_scenes import HOP_NS, START_NS, no_faces

from models.analyser import Analyser
from models.data.faces import load_faces
from models.data.speech import decode
from models.data.text import chinese_reviews, load_sst2, load_text
from models.labels import SPEECH_TO_EMOTION, emotion_index, ferplus_matrix
from models.metrics import accuracy, majority, uar
from models.types import EMOTIONS, Hop, Scores, Text, WindowInput

SILENT = np.zeros(8000, np.float32)


def one_hop(stream: str, faces: np.ndarray, text: str) -> WindowInput:
    end = START_NS + HOP_NS
    texts = (Text(start_ns=START_NS, end_ns=end, text=text),) if text else ()
    hop = Hop(start_ns=START_NS, end_ns=end, faces=faces, audio=SILENT, audio_coverage=0.0,
              texts=texts)  # fmt: skip
    return WindowInput(stream=stream, start_ns=START_NS, end_ns=end, new_hops=(hop,))


def score(analyser: Analyser, windows: list[WindowInput]) -> list[Scores]:
    results = []
    for at in range(0, len(windows), 50):
        part = windows[at : at + 50]
        results += analyser.step(part)
        for window in part:
            analyser.forget(window.stream)
    return results


def reads(analyser: Analyser, texts: list[str]) -> list[Scores]:
    return score(analyser, [one_hop(f"text-{i}", no_faces(), t) for i, t in enumerate(texts)])


def listens(analyser: Analyser, stream: str, sound: np.ndarray) -> list[Scores]:
    """Two-second windows every half second over a whole recording."""
    hops = [
        Hop(start_ns=START_NS + i * HOP_NS, end_ns=START_NS + (i + 1) * HOP_NS, faces=no_faces(),
            audio=sound[i * 8000 :][:8000], audio_coverage=1.0, texts=())
        for i in range(max(4, len(sound) // 8000))
    ]  # fmt: skip
    results = []
    for last in range(3, len(hops)):
        window = WindowInput(
            stream=stream, start_ns=hops[last - 3].start_ns, end_ns=hops[last].end_ns,
            new_hops=tuple(hops[:4] if last == 3 else hops[last : last + 1]),
        )  # fmt: skip
        results += analyser.step([window])
    analyser.forget(stream)
    return results


def test_faces(analyser: Analyser, data: Path) -> None:
    faces = load_faces(data, "valid")
    some = np.arange(0, len(faces), 16)
    windows = [one_hop(f"face-{i}", faces.pixels[i : i + 1], "") for i in some]
    scores = score(analyser, windows)
    probabilities = np.stack([s.emotions for s in scores])
    labels = (faces.targets[some] @ ferplus_matrix()).argmax(1)
    assert majority(labels) < 0.45
    assert accuracy(probabilities, labels) > 0.70
    happy, angry = (
        np.mean([s.sentiment for s, y in zip(scores, labels, strict=True) if EMOTIONS[y] == name])
        for name in ("happiness", "anger")
    )
    neutral = np.mean(
        [s.sentiment for s, y in zip(scores, labels, strict=True) if EMOTIONS[y] == "neutral"]
    )
    assert happy > 0.4
    assert happy - 0.3 > neutral > angry + 0.1


def test_text(analyser: Analyser, data: Path) -> None:
    rows = [row for row in load_text(data, "valid")["goemotions"] if row.label is not None][::16]
    probabilities = np.stack([s.emotions for s in reads(analyser, [row.text for row in rows])])
    labels = np.array([row.label for row in rows])
    assert majority(labels) < 0.45
    assert accuracy(probabilities, labels) > 0.58
    assert uar(probabilities, labels) > 0.40  # chance is 1/7
    reviews = load_sst2(data)[::4]
    guess = np.array([s.sentiment for s in reads(analyser, [text for text, _ in reviews])])
    assert np.mean((guess > 0) == np.array([label for _, label in reviews])) > 0.70


def test_chinese_words(analyser: Analyser, data: Path) -> None:
    rows = chinese_reviews(data, "valid")[::4]
    scores = reads(analyser, [text for text, _ in rows])
    assert all(s.emotions is None for s in scores)
    guess = np.array([s.sentiment for s in scores])
    assert np.mean((guess > 0) == np.array([label for _, label in rows])) > 0.80


def test_voice(analyser: Analyser, data: Path) -> None:
    lines = (data / "speech" / "manifest.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if line.endswith(",valid")]
    rows = [row for row in rows if row[1] != "nemo"][::6]
    probabilities, labels = [], []
    for path, _, _, _, emotion, *_ in rows:
        heard = [s.emotions for s in listens(analyser, path, decode(data / path)) if s.unimodal]
        if heard:
            probabilities.append(np.mean(heard, 0))
            labels.append(emotion_index(SPEECH_TO_EMOTION[emotion]))
    assert len(labels) > 0.9 * len(rows)
    assert uar(np.stack(probabilities), np.array(labels)) > 0.35  # chance is 1/7


SIGNED = {
    "I love this, thank you so much": 1,
    "What a wonderful day, I am so happy for you!": 1,
    "This is terrible, I hate it": -1,
    "I'm so sorry, that is really sad": -1,
    "you are an idiot and this makes me furious": -1,
}


def test_plain_sentences_have_the_right_sign(analyser: Analyser) -> None:
    for scores, sign in zip(reads(analyser, list(SIGNED)), SIGNED.values(), strict=True):
        assert scores.sentiment * sign > 0.25


def test_neutral_speech_is_not_called_strong(analyser: Analyser, media: Path) -> None:
    clips = sorted(media.glob("grid_*.mp4"))
    for clip in clips:
        with av.open(str(clip)) as container:
            assert container.streams.audio
        for scores in listens(analyser, clip.name, decode(clip)):
            assert scores.sentiment is None or abs(scores.sentiment) < 0.75


@pytest.mark.parametrize("name", ["silent_expressions.mp4"])
def test_a_silent_clip_has_no_voice(analyser: Analyser, media: Path, name: str) -> None:
    with av.open(str(media / name)) as container:
        sound = bool(container.streams.audio)
    samples = decode(media / name) if sound else np.zeros(16_000 * 4, np.float32)
    assert all("audio" not in scores.unimodal for scores in listens(analyser, name, samples))
