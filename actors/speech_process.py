"""A recogniser in a process of its own: engines hold the interpreter's lock for as long as they
search, and pictures and sound must not wait for that.

Invariant: one answer to each question, in order; the process ends with the pipe to it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import IO

import msgspec
import numpy as np
import psutil

from actors.report import cpu_seconds
from streaming.errors import PortLostError, SourceError, UsageError
from streaming.packets import Float32Array
from streaming.settings import SpeechSettings
from streaming.speech.recogniser import Outcome

READY_S = 120.0  # a large model on a slow disk
ANSWER_S = 60.0  # the longest utterance with a large model
LENGTH_BYTES = 4


class Sound(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """float32 samples of mono sound at 16 kHz, as bytes."""

    t_ns: int
    samples: bytes
    hurry: bool


class SoundEnded(msgspec.Struct, frozen=True, tag=True):
    """No more sound."""


class Complaint(msgspec.Struct, frozen=True, tag=True):
    """The engine cannot be used."""

    words: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The engine is loaded."""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """What became of the sound."""

    outcome: Outcome


Question = Sound | SoundEnded
Reply = Ready | Complaint | Answer
_encoder = msgspec.msgpack.Encoder()
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def write_frame(pipe: IO[bytes], message: Question | Reply) -> None:
    """One message behind its length."""
    data = _encoder.encode(message)
    pipe.write(len(data).to_bytes(LENGTH_BYTES, "little") + data)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """The bytes of one message; None when the other side has gone."""
    head = pipe.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    data = pipe.read(length)
    return data if len(data) == length else None


class SpeechProcess:
    """Obeys `Recogniser`; raises `PortLostError` once the process is gone, or does not answer."""

    def __init__(self, settings: SpeechSettings) -> None:
        self._spent_s = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "actors.speech_worker", msgspec.json.encode(settings).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            | {"OMP_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C is for the run, which ends it in good order
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        try:
            self._require_ready()
        except BaseException:
            self.close()
            raise

    @property
    def cpu_s(self) -> float:
        """As `Recogniser.cpu_s`."""
        if self._process.returncode is None:
            with suppress(psutil.Error):
                self._spent_s = cpu_seconds(self._process.pid)
        return self._spent_s

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        """As `Recogniser.feed`."""
        data = np.ascontiguousarray(samples, np.float32).tobytes()
        return self._ask(Sound(t_ns=t_ns, samples=data, hurry=hurry))

    def end(self) -> Outcome:
        """As `Recogniser.end`."""
        return self._ask(SoundEnded())

    def close(self) -> None:
        """End the process; a question that waits for its answer is told."""
        self._process.kill()
        _ = self.cpu_s  # while there is still something to read
        self._process.wait()
        for pipe in (self._to, self._from):
            with suppress(OSError, RuntimeError, ValueError):  # in use by the one that asks
                pipe.close()

    def _require_ready(self) -> None:
        heard, _, _ = select.select([self._from], [], [], READY_S)
        if not heard:
            raise SourceError(f"speech_to_text: the engine was not ready within {READY_S:g} s")
        match self._reply():
            case Complaint(words=words):
                raise UsageError(words)
            case _:
                pass

    def _ask(self, question: Question) -> Outcome:
        try:
            write_frame(self._to, question)
            if not select.select([self._from], [], [], ANSWER_S)[0]:
                raise PortLostError(f"its process has not answered for {ANSWER_S:g} s")
            reply = self._reply()
        except (OSError, ValueError):
            raise self._gone() from None
        if isinstance(reply, Answer):
            return reply.outcome
        raise self._gone()

    def _reply(self) -> Reply:
        data = read_frame(self._from)
        if data is None:
            raise self._gone()
        return _replies.decode(data)

    def _gone(self) -> PortLostError:
        _ = self.cpu_s
        return PortLostError(f"its process ended (exit code {self._process.wait()})")
