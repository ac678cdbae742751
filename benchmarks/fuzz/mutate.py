"""Mutation of a tree: so that most inputs of a typed reader get past its parser."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgspec

from benchmarks.fuzz.reader import Form

SMALL = 64
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.5, -1.5, 1e308,
    "", "a", "\x00", "\n", "é\u2028", "x" * 300, "../..", "%s{}", [], {}, [[]], {"": None},
)  # fmt: skip


def bytewise(rng: random.Random) -> Callable[[bytes], bytes]:
    """Changes bytes at random, where no fuzzer does so with a plan."""

    def change(data: bytes) -> bytes:
        at = rng.randint(0, len(data))
        until = min(at + rng.randint(0, 8), len(data))
        inner = rng.choice((b"", rng.randbytes(4), data[at:until] * 2, b"\n", b"-", b"9" * 20))
        return data[:at] + inner + data[until:]

    return change


def mutated(data: bytes, form: Form, seed: int, change: Callable[[bytes], bytes]) -> bytes:
    """`data` with one to three places of its tree changed; bytewise where it is no tree."""
    codec = msgspec.json if form == "json" else msgspec.msgpack
    rng = random.Random(seed)
    if form == "bytes" or rng.random() < 0.3:
        return change(data)
    try:
        tree = codec.decode(data)
        for _ in range(rng.randint(1, 3)):
            tree = _changed(tree, rng, change)
        return codec.encode(tree)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, OverflowError):
        return change(data)


def _changed(node: Any, rng: random.Random, change: Callable[[bytes], bytes]) -> Any:
    """`node` with something in it changed; the deeper, the likelier it is left."""
    inside = isinstance(node, dict | list) and node and rng.random() < 0.85
    if not inside:
        return _replaced(node, rng, change)
    at = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if rng.random() < 0.1:
        del node[at]
    elif rng.random() < 0.05 and len(node) < SMALL:
        if isinstance(node, dict):
            node[rng.choice(("x", "id", "kind", ""))] = deepcopy(node[at])
        else:
            node.append(deepcopy(node[at]))
    else:
        node[at] = _changed(node[at], rng, change)
    return node


def _replaced(node: Any, rng: random.Random, change: Callable[[bytes], bytes]) -> Any:
    if rng.random() < 0.4:
        return deepcopy(rng.choice(VALUES))
    match node:
        case bool():
            return not node
        case int():
            return node + rng.choice((-1, 1, 2**32, -(2**32), -node, -node - 1))
        case float():
            return node * rng.choice((-1.0, 0.0, 1e-9, 1e9))
        case str():
            return change(node.encode()).decode(errors="replace")
        case bytes():
            return change(node)
    return deepcopy(rng.choice(VALUES))
