"""From YAML and the command line to typed settings, checked once, here.

Later layers win: defaults, the file, the options, `--set`. Unknown keys are refused with the
nearest known one named. Relative paths are taken from the folder one stands in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from attune import yaml_text
from attune.config_faults import explain, shown
from streaming.errors import UsageError
from streaming.settings import AttuneSettings, EncoderSettings, SpeechSettings
from streaming.settings_base import Settings
from streaming.source_settings import MediaSettings, TextSettings

Kind = TypeVar("Kind", bound=Settings)
TAIL = "tail:"


def load(path: Path | None) -> dict[str, Any]:
    """The tree of a YAML file, unchecked; an empty one for None."""
    if path is None:
        return {}
    try:
        tree = yaml_text.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"configuration {path} not found; give the path of a YAML file") from None
    except UnicodeDecodeError:
        raise UsageError(f"configuration {path}: expected YAML in UTF-8, got other bytes") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"configuration {path}: expected a YAML file, got: {reason}") from None
    except yaml_text.YamlTextError as error:
        raise UsageError(f"configuration {path} is not YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UsageError(
            f"configuration {path}: expected keys and values at the top, got {shown(tree)}"
        )
    return tree


def assign(tree: dict[str, Any], assignment: str) -> None:
    """Put `dotted.key=value` into `tree`; the value is read as YAML."""
    key, found, text = assignment.partition("=")
    if not found or not key.strip():
        raise UsageError(f"--set {assignment!r}: expected key=value, such as windows.hop_ms=250")
    try:
        value = yaml_text.parse(text)
    except yaml_text.YamlTextError as error:
        raise UsageError(f"--set {assignment!r}: {error}") from None
    *path, last = key.strip().split(".")
    node: Any = tree
    for part in path:
        node = _child(node, part, assignment)
    if isinstance(node, list):
        node[_index(node, last, assignment)] = value
    else:
        node[last] = value


def agree(tree: dict[str, Any]) -> None:
    """Set the consent of all streams of a configuration."""
    streams = tree.get("streams")
    for stream in streams if isinstance(streams, list) else ():
        if isinstance(stream, dict):
            stream["consent"] = True


def settings(tree: dict[str, Any], origin: str = "configuration") -> AttuneSettings:
    """Typed and checked settings of a run."""
    return _absolute(convert(tree, AttuneSettings, origin))


def convert(tree: dict[str, Any], kind: type[Kind], origin: str) -> Kind:
    """`tree` as settings of this kind, checked."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{origin}: {explain(str(error), tree, kind)}") from None


def _child(node: Any, part: str, assignment: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, assignment)]
    child = node.setdefault(part, {}) if isinstance(node, dict) else None
    if not isinstance(child, dict | list):
        raise UsageError(f"--set {assignment!r}: {part!r} has no keys below it")
    return child


def _index(node: list[Any], part: str, assignment: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise UsageError(f"--set {assignment!r}: expected an index below {len(node)}, got {part!r}")
    return int(part)


def _absolute(found: AttuneSettings) -> AttuneSettings:
    """Paths made independent of the folder, since stages may run in other processes."""
    streams = tuple(
        msgspec.structs.replace(
            s,
            sources=tuple(_absolute_source(x) for x in s.sources),
            speech_to_text=_absolute_speech(s.speech_to_text),
        )
        for s in found.streams
    )
    output, model = found.output, found.model
    output = msgspec.structs.replace(
        output,
        file=output.file if output.file == "-" else _absolute_or_none(output.file),
        journal=_absolute_or_none(output.journal),
        keys=_absolute_or_none(output.keys),
        retain_folder=_absolute_or_none(output.retain_folder),
        audit=_absolute_or_none(output.audit),
    )
    control = msgspec.structs.replace(found.control, keys=_absolute_or_none(found.control.keys))
    model = msgspec.structs.replace(
        model,
        path=_absolute_or_none(model.path),
        text=_absolute_encoder(model.text),
        faces=_absolute_encoder(model.faces),
    )
    vision = found.vision
    if vision.detector != "haar":
        vision = msgspec.structs.replace(vision, detector=str(Path(vision.detector).absolute()))
    return msgspec.structs.replace(
        found, streams=streams, output=output, control=control, model=model, vision=vision
    )


def _absolute_encoder(encoder: EncoderSettings | None) -> EncoderSettings | None:
    """Files made absolute; a name on the Hub stays a name."""
    if encoder is None:
        return None
    paths = {key: getattr(encoder, key) for key in ("huggingface", "onnx", "head")}
    found = {key: str(Path(p).absolute()) for key, p in paths.items() if p and Path(p).exists()}
    return msgspec.structs.replace(encoder, **found)


def _absolute_speech(speech: SpeechSettings | None) -> SpeechSettings | None:
    if speech is None or not speech.model:
        return speech
    return msgspec.structs.replace(speech, model=str(Path(speech.model).absolute()))


def _absolute_source(source: Any) -> Any:
    if isinstance(source, MediaSettings) and "://" not in source.url:
        return msgspec.structs.replace(source, url=str(Path(source.url).absolute()))
    return _absolute_text(source) if isinstance(source, TextSettings) else source


def _absolute_text(source: TextSettings) -> TextSettings:
    """Files made absolute; `tail:PATH` is a file that is followed."""
    path, follow = source.path, source.follow
    if path.startswith(TAIL):
        path, follow = path.removeprefix(TAIL), True
    if path != "-" and not source.is_address:
        path = str(Path(path).absolute())
    return msgspec.structs.replace(
        source,
        path=path,
        follow=follow,
        keys=_absolute_or_none(source.keys),
        clock_keys=_absolute_or_none(source.clock_keys),
        token_file=_absolute_or_none(source.token_file),
        certificate=_absolute_or_none(source.certificate),
    )


def _absolute_or_none(path: str) -> str:
    return str(Path(path).absolute()) if path else ""
