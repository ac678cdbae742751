"""Addresses without the secrets in them, for messages, logs and recordings.

Invariant: too much is hidden rather than too little, for a password may hold any sign.
"""

from __future__ import annotations

import re
from typing import Any

_USER = re.compile(r"(?<=://).*@", re.DOTALL)  # up to the last @, wherever the authority ends
_VALUE = re.compile(r"(?<==)[^&#\s]+")


def redacted(address: str) -> str:
    """`address` with `***` for user, password and the values of its query; paths are left alone.

    >>> redacted("rtsp://me:p@ss/word@camera.example/1?token=abc")
    'rtsp://***@camera.example/1?token=***'
    """
    if "://" not in address:
        return address
    place, mark, query = _USER.sub("***@", address, count=1).partition("?")
    return place + mark + _VALUE.sub("***", query)


def redacted_tree(tree: Any) -> Any:
    """The same for every text in a tree of lists and dicts."""
    if isinstance(tree, dict):
        return {key: redacted_tree(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [redacted_tree(value) for value in tree]
    return redacted(tree) if isinstance(tree, str) else tree
