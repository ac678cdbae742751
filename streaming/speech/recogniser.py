"""The seam between sound and words: what a recogniser is given, and what it answers.

Invariant: `settled_ns` never runs backwards, and nothing that is heard later begins before it; so
it can be promised to the aligner as it stands.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from streaming.packets import Float32Array, Word


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What was understood of one utterance, which began at `start_ns`.

    Not final: a guess, replaced by what follows with the same `start_ns`. Where nothing follows,
    no words were found in it after all.
    """

    start_ns: int
    end_ns: int
    words: tuple[Word, ...]
    is_final: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some sound. `settled_ns`: nothing before it will be said any more."""

    heard: tuple[Heard, ...] = ()
    settled_ns: int = 0


class Recogniser(Protocol):
    """Sound in, words out, in order; one for each stream. It may take its time.

    `PortLostError`: it is gone, and another one may be asked instead.
    """

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has spent in a process of its own."""
        ...

    def feed(self, t_ns: int, samples: Float32Array, *, hurry: bool = False) -> Outcome:
        """Mono float32 (N,) at 16 kHz whose first sample was taken at `t_ns`. Sound that does not
        touch what came before ends the utterance. `hurry`: more waits, so guesses may be left out.
        """
        ...

    def end(self) -> Outcome:
        """The sound is over: what is open becomes final."""
        ...

    def close(self) -> None:
        """Release what is held; may be called twice, and from another thread."""
        ...
