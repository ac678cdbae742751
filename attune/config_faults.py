"""What is wrong with a configuration, in one line: where, what was expected, what came.

msgspec finds the fault; here its words are made those of a configuration, and the nearest known key
is looked for.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from streaming.redact import redacted

_AT = r" - at `\$\.?(?P<path>[^`]*)`$"
_UNKNOWN = re.compile(r"contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<path>[^`]*)`)?")
_INVALID = re.compile(r"^Invalid (?:enum )?value .*" + _AT)
_EXPECTED = re.compile(r"^Expected `(?P<kinds>[^`]*)`(?P<bound>.*?)(?:, got `(?P<got>.*)`)?" + _AT)
_MISSING = re.compile(r"^Object missing required field `(?P<key>[^`]*)`(?:" + _AT + ")?")
_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}
SHOWN = 60  # characters of a value that is refused


def explain(complaint: str, tree: dict[str, Any], top: type) -> str:
    """msgspec's complaint about `tree`, which should be a `top`, in plain words."""
    if found := _UNKNOWN.search(complaint):
        return _unknown(found["path"] or "", found["key"], tree, top)
    if found := _INVALID.search(complaint):
        choices = _choices(found["path"], tree, top)
        value = shown(_type_at(found["path"], tree, top)[1])
        return f"{found['path']}: expected one of {', '.join(choices)}; got {value}"
    if found := _EXPECTED.search(complaint):
        kinds = " or ".join(_named(kind) for kind in found["kinds"].split(" | "))
        return f"{found['path']}: expected {kinds}{found['bound']}, got {_got(found, tree, top)}"
    if found := _MISSING.search(complaint):
        return f"{found['path'] or 'the top'}: expected the key {found['key']!r}, which is missing"
    return complaint.replace("`$.", "`").replace("`$`", "the top")


def shown(value: Any) -> str:
    """A value that is refused, without secrets and not at length."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(redacted(value)[:SHOWN])
        case dict():
            return "keys and values"
        case list():
            return "a list" if value else "an empty list"
    return str(value)


def _named(kind: str) -> str:
    return _KINDS.get(kind, kind)


def _got(found: re.Match[str], tree: dict[str, Any], top: type) -> str:
    """What stands there; with what to do where that is easily misread."""
    if "..." in found["path"]:  # msgspec does not say which
        return _named(found["got"]) if found["got"] else "another one"
    value = _type_at(found["path"], tree, top)[1]
    if value is None:
        return "nothing; give it a value or leave the key out"
    if isinstance(value, str) and {"float", "int"} & set(found["kinds"].split(" | ")):
        return f"the text {shown(value)}{_a_number(value)}"
    return shown(value)


def _a_number(text: str) -> str:
    """YAML 1.1 takes 1e-3, which has no point, for a text."""
    try:
        float(text)
    except ValueError:
        return ""
    return "; write it without quotes, and 1e-3 as 0.001"


def _unknown(path: str, key: str, tree: dict[str, Any], top: type) -> str:
    known = _known_keys(path, tree, top)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    where = f"{path}.{key}" if path else key
    if near:
        return f"unknown key {where!r}; did you mean {near[0]!r}?"
    return f"unknown key {where!r}; known here: {', '.join(sorted(known))}"


def _choices(path: str, tree: dict[str, Any], top: type) -> list[str]:
    """The values that a refused one could have had."""
    if path.endswith(".kind"):
        union, _ = _type_at(path.removesuffix(".kind"), tree, top)
        return sorted(str(member.tag) for member in getattr(union, "types", ()))
    return sorted(map(str, getattr(_type_at(path, tree, top)[0], "values", ())))


def _type_at(path: str, tree: dict[str, Any], top: type) -> tuple[Any, Any]:
    """The type and the value that stand at `path`, as msgspec writes paths, below `top`."""
    kind: Any = msgspec.inspect.type_info(top)
    node: Any = tree
    for name, index in re.findall(r"([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]", path):
        kind, node = _step(kind, node, name, index)
    return kind, node


def _known_keys(path: str, tree: dict[str, Any], top: type) -> list[str]:
    """Fields of the struct that stands at `path`."""
    kind = _of_kind(*_type_at(path, tree, top))
    keys = [f.encode_name for f in getattr(kind, "fields", ())]
    tagged = getattr(kind, "tag_field", None)
    return [*keys, tagged] if tagged else keys


def _step(kind: Any, node: Any, name: str, index: str) -> tuple[Any, Any]:
    kind = _of_kind(kind, node)
    if name:
        found = next((f.type for f in kind.fields if f.encode_name == name), None)
        return found, node.get(name) if isinstance(node, dict) else None
    items = node if isinstance(node, list) else []
    if index.isdigit():
        node = items[int(index)] if int(index) < len(items) else None
    else:  # msgspec does not say which item: the first that looks wrong will do
        node = next((i for i in items if isinstance(i, dict)), None)
    return getattr(kind, "item_type", None), node


def _of_kind(kind: Any, node: Any) -> Any:
    """The member of a tagged union that `node` chooses."""
    members = getattr(kind, "types", None)
    if members is None:
        return kind
    chosen = node.get("kind") if isinstance(node, dict) else None
    return next((m for m in members if getattr(m, "tag", None) == chosen), members[0])
