"""A recogniser whose process dies: started again, its sound heard again, its losses named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from actors.speech_kept import KeptRecogniser
from streaming.clock import HandClock
from streaming.errors import PortLostError, SourceError
from streaming.health import HealthKind
from streaming.packets import Float32Array
from streaming.speech.recogniser import Outcome
from streaming.speech.transcriber import Transcriber
from tests.speech_script import LevelDetector, StepEngine, speech

MS = 1_000_000
CHUNK_MS = 160  # five frames of the detector
LOST, BACK = HealthKind.SOURCE_LOST, HealthKind.RECOVERED


class Mortal(Transcriber):
    """Dies when it is asked for the `dies_at`-th time, from 0; -1: never."""

    def __init__(self, dies_at: int) -> None:
        super().__init__(LevelDetector(), StepEngine(), longest_s=6)
        self.cpu_s, self.closed = 1.5, False
        self._asked, self._dies_at = 0, dies_at

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        self._live()
        return super().feed(t_ns, samples, hurry=hurry)

    def end(self) -> Outcome:
        self._live()
        return super().end()

    def close(self) -> None:
        self.closed = True

    def _live(self) -> None:
        if self._asked == self._dies_at:
            raise PortLostError("its process ended (exit code -9)")
        self._asked += 1


class Kept:
    """A kept recogniser of processes that die as `lives` say, and what was heard and told."""

    def __init__(self, lives: Sequence[int | None], restarts: int = 5) -> None:
        self.lives, self.born = iter(lives), list[Mortal]()
        self.told: list[tuple[HealthKind, str, int]] = []
        self.told_ns, self.waited = 0, list[float]()
        self.ends_after = -1
        self.kept = KeptRecogniser(self._open, restarts, HandClock(), self._pause)
        self.kept.tell = self._tell

    def _tell(self, kind: HealthKind, t_ns: int, words: str, count: int) -> None:
        assert kind is not BACK or t_ns > self.told_ns or not t_ns
        self.told_ns = t_ns
        self.told.append((kind, words, count))

    def _open(self) -> Mortal:
        life = next(self.lives)
        if life is None:
            raise SourceError("the engine was not ready within 120 s")
        self.born.append(Mortal(life))
        return self.born[-1]

    def _pause(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return len(self.waited) == self.ends_after

    def hear(self, line: Float32Array) -> list[tuple[int, int]]:
        """Spans of all final words, in ms; the promises are held to."""
        size = CHUNK_MS * 16
        outcomes = [
            self.kept.feed(at * MS // 16, line[at : at + size])
            for at in range(0, len(line) - size + 1, size)
        ]
        outcomes.append(self.kept.end())
        settled_ns, spans = 0, []
        for outcome in outcomes:
            assert outcome.settled_ns >= settled_ns
            for heard in outcome.heard:
                assert heard.start_ns >= settled_ns
                words = heard.words if heard.is_final else ()
                spans += [(w.start_ns // MS, w.end_ns // MS) for w in words]
            settled_ns = outcome.settled_ns
        return spans


# sound   0 ... 640 |one| 1280 ... 2240 |two| 3200 ... 4480, pieces of 160 ms
SCRIPT = speech(("off", 640), ("on", 640), ("off", 960), ("on", 960), ("off", 1280))
WORDS = [(640, 1280), (2240, 3200)]


@pytest.mark.parametrize("dies_at", range(29))
def test_whenever_it_dies_once_no_word_is_lost_or_said_twice(dies_at: int) -> None:
    kept = Kept([dies_at, -1])
    assert kept.hear(SCRIPT) == WORDS
    (kind, words, count), back = kept.told
    assert (kind, count, back) == (LOST, 0, (BACK, "it is there again", 0))
    assert words.startswith("its process ended (exit code -9); started again in 0.25 s, the sound")
    assert kept.kept.cpu_s == 3.0
    assert [m.closed for m in kept.born] == [True, False]


def test_without_a_death_it_is_the_recogniser_itself() -> None:
    kept = Kept([-1])
    assert (kept.hear(SCRIPT), kept.told) == (WORDS, [])


def test_sound_that_brings_down_two_processes_is_given_up_and_its_span_told() -> None:
    # first dies at 960, in "one"; the second when it hears that again; the third goes on
    kept = Kept([6, 1, -1])
    assert kept.hear(SCRIPT) == [(1120, 1280), (2240, 3200)]
    (_, first, _), (_, second, count), (kind, _, _) = kept.told
    assert first.endswith("started again in 0.25 s, the sound from 0.38 to 1.12 s is heard again")
    assert second.endswith("started again in 0.5 s, the words from 0.38 to 1.12 s are lost")
    assert count > 0
    assert kind is BACK


def test_it_is_not_started_again_without_end() -> None:
    kept = Kept([0] * 9, restarts=3)
    with pytest.raises(SourceError, match="more than 3 times in a minute; the words from"):
        kept.hear(SCRIPT)
    assert len(kept.born) == 4
    assert kept.waited == [0.25, 0.5, 1.0]
    never = Kept([0], restarts=0)
    with pytest.raises(SourceError, match=r"exit code -9\); the words from"):
        never.hear(SCRIPT)


def test_a_start_that_fails_is_tried_again() -> None:
    kept = Kept([6, None, -1])
    assert kept.hear(SCRIPT) == WORDS
    assert [words.split(";")[0] for _, words, _ in kept.told[:2]] == [
        "its process ended (exit code -9)",
        "the engine was not ready within 120 s",
    ]


def test_the_end_of_the_stream_is_not_held_up_by_a_restart() -> None:
    kept = Kept([0, -1])
    kept.ends_after = 1
    with pytest.raises(SourceError, match="the stream is ending"):
        kept.hear(SCRIPT)
    assert len(kept.born) == 1


def test_little_sound_is_kept_in_a_pause() -> None:
    kept = Kept([-1])
    for at in range(200):
        kept.kept.feed(at * 160 * MS, np.zeros(2560, np.float32))
    assert len(kept.kept._unsettled) <= 3
