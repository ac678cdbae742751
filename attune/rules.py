"""`attune rules`: what the rules of a configuration do, or what is wrong, by line and column."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from attune import config as configuration
from attune import yaml_text
from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.events.engine import BUILTIN_FILE, KIND_NAMES, constants, rules_of
from streaming.events.quantities import OF_FRAMES, known_names
from streaming.events.rules import Rule, RuleError
from streaming.settings import EventSettings, RuleSettings


def check_rules(path: Path) -> int:
    """Show the rules of `path`, or a line for each that is wrong; the exit code."""
    tree = configuration.load(path)
    events = configuration.settings(tree, str(path)).events
    if not events.rules:
        raise UsageError(f"{path}: expected rules under events.rules, found none")
    good, complaints = _compiled(events, _Places(path))
    for complaint in complaints:
        sys.stderr.write(f"attune: {complaint}\n")
    if complaints:
        return UsageError.exit_code
    _show(good)
    return 0


def show_names() -> None:
    """Print all names and what they are."""
    table = Table("name", "is", "in rules of every")
    for every in ("hop", *OF_FRAMES):
        for name, kind in known_names(KIND_NAMES, every).items():
            table.add_row(name, kind, every)
    for name, value in constants(EventSettings()).items():
        table.add_row(name, f"a setting, {value:g} unless set", "any")
    Console().print(table)


def show_builtin() -> None:
    """Print the built-in rules as they are."""
    sys.stdout.write(BUILTIN_FILE.read_text(encoding="utf-8"))


def _compiled(events: EventSettings, places: _Places) -> tuple[tuple[Rule, ...], list[str]]:
    """The rules that are right, and a line on each that is not."""
    rules = events.rules
    complaints: list[str] = []
    kept = list(range(len(rules)))
    while True:
        try:
            own = tuple(rules[i] for i in kept)
            every = rules_of(msgspec.structs.replace(events, rules=own))
            return every[len(every) - len(own) :], complaints
        except RuleError as error:
            wrong = kept[error.index]
            complaints.append(f"{places.of(wrong, error.field, error.offset)}: {error.plain}")
            # It stays, as one that can be looked at: its followers are not to blame for it.
            stand_in = RuleSettings(name=rules[wrong].name, when="words > 0")
            if error.field == "name":
                kept.remove(wrong)
            else:
                whole = list(rules)
                whole[wrong] = msgspec.structs.replace(stand_in, across=False)
                rules = tuple(whole)


def _show(rules: tuple[Rule, ...]) -> None:
    table = Table("event", "every", "begins when", "for", "ends when", "cool-down", "in")
    for rule in rules:
        told = rule.settings
        streams = "all together" if told.across else ", ".join(told.streams) or "each stream"
        table.add_row(
            told.name,
            told.every,
            told.when.strip(),
            f"{rule.for_ns / NS_PER_S:g} s",
            told.until.strip() or "that no longer holds",
            f"{rule.cooldown_ns / NS_PER_S:g} s",
            streams,
        )
    Console().print(table, highlight=False)


class _Places:
    """Where in a YAML file the fields of its rules stand."""

    def __init__(self, path: Path) -> None:
        self._path = path
        tree = yaml_text.compose(path.read_text(encoding="utf-8"))
        self._rules = _child(_child(tree, "events"), "rules")

    def of(self, index: int, field: str, offset: int) -> str:
        """`FILE:LINE:COLUMN` of a character of a field."""
        rules = self._rules.value if isinstance(self._rules, yaml.SequenceNode) else []
        if index >= len(rules):  # merged from elsewhere
            return str(self._path)
        rule = rules[index]
        node = _child(rule, field) or rule
        mark = node.start_mark
        on_one_line = isinstance(node, yaml.ScalarNode) and mark.line == node.end_mark.line
        quote = 1 if getattr(node, "style", None) in ("'", '"') else 0
        column = mark.column + 1 + (offset + quote if on_one_line else 0)
        return f"{self._path}:{mark.line + 1}:{column}"


def _child(node: Any, key: str) -> Any:
    """What stands at `key` of a mapping (the last, if there are several), or None."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in reversed(pairs) if name.value == key), None)
