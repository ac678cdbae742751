"""Engines: real models are loaded from where they are, never fetched, or refused in one line."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from actors.speech_process import SpeechProcess
from actors.speech_worker import open_transcriber
from streaming.errors import UsageError
from streaming.settings import SpeechSettings
from streaming.speech.engine import open_engine
from tests.tiny_whisper import write_tiny_whisper

RATE_HZ = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.1, 2 * RATE_HZ).astype(np.float32)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def pocketsphinx(**more: object) -> SpeechSettings:
    return SpeechSettings(engine="pocketsphinx", **more)


def faster_whisper(model: object) -> SpeechSettings:
    return SpeechSettings(engine="faster-whisper", model=str(model))


def test_a_whisper_model_is_loaded_from_its_folder_and_dates_its_words(whisper, no_network):
    engine = open_engine(faster_whisper(whisper))
    said = []
    for _ in range(2):  # an utterance leaves no trace in the next
        engine.begin()
        engine.feed(NOISE[:RATE_HZ])
        engine.feed(NOISE[RATE_HZ:])
        said.append(engine.finish())
    assert said[0] == said[1]
    assert {word.text for word in said[0]} <= {"hello", "world", "yes", "no"}
    assert said[0]
    assert all(0 <= w.start <= w.end <= len(NOISE) for w in said[0])
    assert all(0 < w.probability <= 1 for w in said[0])


@pytest.mark.parametrize("gone", ["model.bin", "config.json", "tokenizer.json"])
def test_a_whisper_model_that_lacks_a_file_is_refused_and_nothing_fetched(
    whisper, no_network, tmp_path, gone
):
    folder = shutil.copytree(whisper, tmp_path / "copy")
    (folder / gone).unlink()
    with pytest.raises(UsageError, match=rf"copy has no {gone}; expected a Whisper model"):
        open_engine(faster_whisper(folder))


def test_a_whisper_model_that_is_damaged_is_refused(whisper, tmp_path):
    folder = shutil.copytree(whisper, tmp_path / "copy")
    (folder / "model.bin").write_bytes(b"no model")
    with pytest.raises(UsageError, match="cannot be loaded"):
        open_engine(faster_whisper(folder))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (faster_whisper(""), "the path of a folder with a Whisper model.*nothing is downloaded"),
        (faster_whisper("/nowhere/small"), "/nowhere/small is not a folder"),
        (pocketsphinx(language="de"), "for language 'de' expects .* an acoustic model"),
        (pocketsphinx(model="/nowhere/de"), "/nowhere/de is not a folder"),
    ],
)
def test_a_model_that_is_not_there_is_refused(settings, words, no_network):
    with pytest.raises(UsageError, match=words):
        open_engine(settings)


@pytest.mark.parametrize(
    ("module", "settings", "extra"),
    [
        ("pocketsphinx", pocketsphinx(), "speech"),
        ("faster_whisper", faster_whisper("/m"), "whisper"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, module, settings, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'attune\[{extra}\]'"):
        open_engine(settings)


def test_a_model_of_ones_own_for_pocketsphinx(tmp_path):
    import pocketsphinx as package

    model = Path(package.__file__).parent / "model" / "en-us"
    with pytest.raises(UsageError, match=r"expected one \*\*/mdef, found 0"):
        open_engine(pocketsphinx(model=str(tmp_path)))
    engine = open_engine(pocketsphinx(model=str(model), language="de"))
    engine.begin()
    engine.feed(NOISE * 0)
    assert engine.finish() == []


def test_silence_and_noise_do_not_disturb_pocketsphinx():
    engine = open_engine(pocketsphinx())
    for sound in (NOISE * 0, NOISE[:1], NOISE):
        engine.begin()
        engine.feed(sound)
        guess, final = engine.guess(), engine.finish()
        assert all(w.start <= w.end for w in [*guess, *final])


def test_the_process_says_what_is_wrong_and_ends():
    with pytest.raises(UsageError, match="/nowhere/small is not a folder"):
        SpeechProcess(faster_whisper("/nowhere/small"))


def test_the_detector_of_the_models_hears_silence_as_such():
    silent = open_transcriber(pocketsphinx()).feed(0, NOISE[:RATE_HZ] * 0)
    assert silent.heard == ()
    assert silent.settled_ns == 10**9
