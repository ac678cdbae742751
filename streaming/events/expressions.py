"""Conditions of rules: a small language, read by Python's own parser and by nothing evaluated.

    sentiment < -0.4 and (arousal > 0.3 or event.speech)

Numbers, named quantities, + - * /, comparisons, and, or, not; in rules across streams also count,
any, all, mean, min and max over the streams. Truth has three values (Kleene, Introduction to
Metamathematics, 1952, section 64): what rests on something unknown is unknown (None), unless the
known part decides. Invariant: an expression that compiled gives a finite number, a truth value
or None for any values whatever.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_CHARACTERS = 500

Value = float | bool | str | None
Values = Mapping[str, Value]
Evaluate = Callable[[Sequence[Values]], Any]  # a Value of the type that was found
_NONE: Mapping[str, float] = {}


class Type(StrEnum):
    """What an expression comes to."""

    NUMBER = "a number"
    TRUTH = "a condition"
    TEXT = "a text"


class ExpressionError(Exception):
    """What is wrong, and at which character (from 0)."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `names`: the quantities it looks at."""

    text: str
    type: Type
    names: frozenset[str]
    _evaluate: Evaluate

    def of(self, values: Values) -> Value:
        """What it comes to for one stream."""
        return self._evaluate([values])

    def across(self, streams: Sequence[Values]) -> Value:
        """What it comes to for all streams."""
        return self._evaluate(streams)


def compile_expression(
    text: str,
    known: Mapping[str, Type],
    wanted: Type | None,
    *,
    across: bool = False,
    constants: Mapping[str, float] = _NONE,
) -> Expression:
    """Read `text`, in which the quantities `known` and `constants` may be named. `wanted`: what it
    has to come to; None: anything. Raises ExpressionError."""
    reader = _Reader(known, constants, across=across)
    kind, evaluate = reader.read(_parse(text))
    if wanted is not None and kind is not wanted:
        raise ExpressionError(f"expected {wanted}, got {kind}")
    return Expression(text, kind, frozenset(reader.names), evaluate)


def _parse(text: str) -> ast.expr:
    if not text.strip():
        raise ExpressionError("expected an expression, got nothing")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"expected at most {MAX_CHARACTERS} characters, got {len(text)}")
    for sign in ("#", "\\", "\0"):
        if sign in text:
            raise ExpressionError(f"{sign!r} has no meaning here", text.index(sign))
    flat = " ".join(text.splitlines())
    try:
        return ast.parse(f"({flat})", mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(
            f"cannot be read: {error.msg}", max((error.offset or 2) - 2, 0)
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot be read: {error}") from None


_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# Over the streams for which the argument is known.
_AGGREGATES: dict[str, tuple[Type, Type, Callable[[list[float]], float]]] = {
    "count": (Type.TRUTH, Type.NUMBER, sum),
    "any": (Type.TRUTH, Type.TRUTH, any),
    "all": (Type.TRUTH, Type.TRUTH, all),
    "mean": (Type.NUMBER, Type.NUMBER, lambda found: sum(found) / len(found)),
    "min": (Type.NUMBER, Type.NUMBER, min),
    "max": (Type.NUMBER, Type.NUMBER, max),
}


class _Reader:
    """From Python's tree to closures, refusing all that has no meaning here."""

    def __init__(
        self, known: Mapping[str, Type], constants: Mapping[str, float], *, across: bool
    ) -> None:
        self._known, self._constants, self._across = known, constants, across
        self._inside = not across  # quantities belong to one stream: here, or within an aggregate
        self.names: set[str] = set()

    def read(self, node: ast.expr) -> tuple[Type, Evaluate]:
        """The type of `node`, and how to find its value."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Type.NUMBER, _constant(value, node)
            case ast.Name() | ast.Attribute():
                return self._quantity(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._expect(operand, Type.NUMBER)
                return Type.NUMBER, lambda at: None if (x := inner(at)) is None else -x
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._expect(operand, Type.TRUTH)
                return Type.TRUTH, lambda at: None if (x := inner(at)) is None else not x
            case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
                return self._arithmetic(node)
            case ast.BoolOp():
                return self._junction(node)
            case ast.Compare(ops=ops) if all(type(op) in _COMPARISONS for op in ops):
                return self._comparison(node)
            case ast.Call(func=ast.Name(id=name)) if name in _AGGREGATES:
                return self._aggregate(node, name)
        raise ExpressionError(f"{_source(node)!r} has no meaning here", _offset(node))

    def _expect(self, node: ast.expr, wanted: Type) -> Evaluate:
        kind, evaluate = self.read(node)
        if kind is not wanted:
            what = _source(node)
            raise ExpressionError(f"expected {wanted}, got {kind}: {what!r}", _offset(node))
        return evaluate

    def _quantity(self, node: ast.Name | ast.Attribute) -> tuple[Type, Evaluate]:
        name = _source(node)
        if name in self._constants:
            return Type.NUMBER, _constant(self._constants[name], node)
        if name not in self._known:
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._known)}"
            raise ExpressionError(f"unknown quantity {name!r}; {hint}", _offset(node))
        if not self._inside:
            aggregates = ", ".join(_AGGREGATES)
            raise ExpressionError(
                f"{name!r} belongs to one stream; expected it within one of: {aggregates}",
                _offset(node),
            )
        self.names.add(name)
        return self._known[name], lambda at: at[0].get(name)

    def _arithmetic(self, node: ast.BinOp) -> tuple[Type, Evaluate]:
        left, right = self._expect(node.left, Type.NUMBER), self._expect(node.right, Type.NUMBER)
        act = _ARITHMETIC[type(node.op)]

        def evaluate(at: Sequence[Values]) -> Value:
            a, b = left(at), right(at)
            if a is None or b is None:
                return None
            try:
                found = act(a, b)
            except (ZeroDivisionError, OverflowError):
                return None
            return found if math.isfinite(found) else None

        return Type.NUMBER, evaluate

    def _junction(self, node: ast.BoolOp) -> tuple[Type, Evaluate]:
        parts = [self._expect(part, Type.TRUTH) for part in node.values]
        decides = isinstance(node.op, ast.Or)

        def evaluate(at: Sequence[Values]) -> Value:
            found = [part(at) for part in parts]
            if decides in found:
                return decides
            return None if None in found else not decides

        return Type.TRUTH, evaluate

    def _comparison(self, node: ast.Compare) -> tuple[Type, Evaluate]:
        terms = [self._expect(term, Type.NUMBER) for term in (node.left, *node.comparators)]
        acts = [_COMPARISONS[type(op)] for op in node.ops]
        if len(acts) == 1:
            return Type.TRUTH, _compared(terms[0], acts[0], terms[1])

        def evaluate(at: Sequence[Values]) -> Value:
            values = [term(at) for term in terms]
            links = [
                None if a is None or b is None else act(a, b)
                for act, a, b in zip(acts, values, values[1:], strict=False)
            ]
            if False in links:
                return False
            return None if None in links else True

        return Type.TRUTH, evaluate

    def _aggregate(self, node: ast.Call, name: str) -> tuple[Type, Evaluate]:
        if not self._across:
            hint = f"{name}() looks at several streams; give the rule across: true"
            raise ExpressionError(hint, _offset(node))
        if self._inside:
            raise ExpressionError(f"{name}() cannot stand in another of its kind", _offset(node))
        if len(node.args) != 1 or node.keywords:
            raise ExpressionError(f"{name}() expected one argument", _offset(node))
        takes, gives, act = _AGGREGATES[name]
        self._inside = True
        inner = self._expect(node.args[0], takes)
        self._inside = False

        def evaluate(at: Sequence[Values]) -> Value:
            found = [value for one in at if (value := inner([one])) is not None]
            return act(found) if found else None

        return gives, evaluate


def _compared(left: Evaluate, act: Callable[[Any, Any], bool], right: Evaluate) -> Evaluate:
    def evaluate(at: Sequence[Values]) -> Value:
        a, b = left(at), right(at)
        return None if a is None or b is None else act(a, b)

    return evaluate


def _constant(value: float, node: ast.expr) -> Evaluate:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ExpressionError("expected a finite number", _offset(node))
    return lambda at: number


def _offset(node: ast.expr) -> int:
    return max(node.col_offset - 1, 0)  # of the parenthesis around all


def _source(node: ast.expr) -> str:
    return ast.unparse(node)
