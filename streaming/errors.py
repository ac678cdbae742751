"""Every error Attune raises on purpose.

    AttuneError                 exit code 1
    ├── UsageError              exit code 2: the command line or the configuration is wrong
    ├── SourceError             a source cannot be opened or read
    │   └── PortLostError     a device went while it was in use; it is tried again
    ├── SinkError               a result cannot be delivered (address in use, disk full)
    ├── WireError               a message from outside cannot be understood
    └── PipelineError           a stage died and could not be brought back

Each message is one line: which stream or file, what was expected, what came, what to do; what
others wrote cannot make it two, nor command a terminal. Lateness, gaps and drops are not errors but
data: see `Health` in `streaming.results`.
"""

from __future__ import annotations


class AttuneError(Exception):
    """Base of the tree; its message is fit to be shown to a user as it stands."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(on_one_line(message))


def on_one_line(text: str) -> str:
    r"""`text` without line feeds and whatever else cannot be seen.

    >>> on_one_line("expected\n'a\x1b[2J'")
    "expected 'a\\x1b[2J'"
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in " ".join(text.splitlines())
    )


class UsageError(AttuneError):
    """The caller asked for something that cannot be: wrong option, key, value or path."""

    exit_code = 2


class SourceError(AttuneError):
    """A source cannot be opened, or broke in a way that it cannot recover from."""


class PortLostError(SourceError):
    """The device is gone: unplugged, or its server ended."""


class SinkError(AttuneError):
    """A sink cannot be opened or written to."""


class WireError(AttuneError):
    """Bytes from outside do not form a message of this schema."""


class PipelineError(AttuneError):
    """A stage of the pipeline died."""
