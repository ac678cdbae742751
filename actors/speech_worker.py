"""The process behind `SpeechProcess`: an engine, the detector of speech, and a pipe to each side.

Run as `python -m actors.speech_worker SETTINGS`, with settings as JSON. It yields to the stages.
"""

from __future__ import annotations

import os
import sys
from typing import IO

import msgspec
import numpy as np

from actors.speech_process import (
    Answer,
    Complaint,
    Question,
    Ready,
    Sound,
    read_frame,
    write_frame,
)
from models.vad import SileroVad, VadState
from streaming.errors import AttuneError
from streaming.packets import Float32Array
from streaming.settings import SpeechSettings
from streaming.speech.engine import open_engine
from streaming.speech.recogniser import Outcome, Recogniser
from streaming.speech.transcriber import Transcriber

NICENESS = 5
_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


class SileroDetector:
    """The voice activity detector of the models, as `Detector`."""

    def __init__(self) -> None:
        self._vad = SileroVad()
        self._state = VadState.initial()

    def probabilities(self, frames: Float32Array) -> Float32Array:
        """float32 (T * 512,) at 16 kHz -> (T,)."""
        self._state, speech = self._vad.step(self._state, frames)
        return np.asarray(speech, np.float32).reshape(-1)

    def reset(self) -> None:
        """Forget what came before."""
        self._state = VadState.initial()


def open_transcriber(settings: SpeechSettings) -> Transcriber:
    """The recogniser that `settings` describe, in this process."""
    return Transcriber(SileroDetector(), open_engine(settings), settings.longest_s)


def answer(recogniser: Recogniser, question: Question) -> Outcome:
    """What the recogniser says to it."""
    if isinstance(question, Sound):
        samples = np.frombuffer(question.samples, np.float32)
        return recogniser.feed(question.t_ns, samples, hurry=question.hurry)
    return recogniser.end()


def main() -> None:
    """Answer questions until the pipe ends."""
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    try:
        recogniser = open_transcriber(msgspec.json.decode(sys.argv[1], type=SpeechSettings))
    except AttuneError as error:
        write_frame(replies, Complaint(str(error)))
        return
    write_frame(replies, Ready())
    _serve(recogniser, sys.stdin.buffer, replies)


def _serve(recogniser: Recogniser, questions: IO[bytes], replies: IO[bytes]) -> None:
    while (data := read_frame(questions)) is not None:
        write_frame(replies, Answer(answer(recogniser, _questions.decode(data))))


if __name__ == "__main__":
    main()
