"""YAML that others wrote, as a tree of bounded size.

Invariants: what is no such tree is a `YamlTextError` of one line, whatever the parser makes of it;
nothing is constructed but plain values; aliases cannot make a short text a huge tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from streaming.errors import on_one_line

MAX_CHARACTERS = 262_144
MAX_DEPTH = 30
MAX_NODES = 100_000


class YamlTextError(Exception):
    """Why a text is not taken."""


class _Loader(yaml.SafeLoader):
    """Plain values only, and not too deep."""

    def fetch_more_tokens(self) -> None:
        """As inherited, unless this is too deep: the scanner's cost is the square of the depth."""
        if self.flow_level + len(self.indents) > MAX_DEPTH:
            raise YamlTextError(f"it is nested deeper than {MAX_DEPTH} levels")
        super().fetch_more_tokens()


def parse(text: str) -> Any:
    """The tree of `text`."""
    tree = _guarded(text, lambda loader: loader.get_single_data())
    _count(tree, {})
    return tree


def compose(text: str) -> Any:
    """The nodes of `text`, which say where they stand."""
    return _guarded(text, lambda loader: loader.get_single_node())


def _guarded(text: str, act: Callable[[_Loader], Any]) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise YamlTextError(f"it has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    try:
        loader = _Loader(text)
        try:
            return act(loader)
        finally:
            loader.dispose()
    except YamlTextError:
        raise
    except yaml.MarkedYAMLError as error:
        raise YamlTextError(_where(error)) from None
    except Exception as error:  # a tag that does not fit its value raises anything
        raise YamlTextError(on_one_line(str(error)) or type(error).__name__) from None


def _where(error: yaml.MarkedYAMLError) -> str:
    """The place and the fault, without what was being read when it was met."""
    mark, problem = error.problem_mark, on_one_line(error.problem or error.context or "")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _count(node: Any, known: dict[int, int]) -> int:
    """How many values `node` comes to, with every alias written out; texts are looked at."""
    if isinstance(node, str) and any("\ud800" <= character <= "\udfff" for character in node):
        raise YamlTextError(f"{node!r} has half a character (a surrogate) in it; leave it out")
    if not isinstance(node, dict | list | tuple | set):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_NODES  # what holds itself never ends
        inner = [*node.keys(), *node.values()] if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_count(part, known) for part in inner)
    if known[id(node)] > MAX_NODES:
        raise YamlTextError(f"written out, its aliases come to more than {MAX_NODES} values")
    return known[id(node)]
