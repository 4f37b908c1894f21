"""Typed settings from YAML: inheritance, `--set a.b=c`, and an error that names the nearest key for a misspelt one."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from speakerkd.errors import InputError, nearest

LARGEST, DEEPEST = 100_000, 50  # values of a config, and levels of nesting: far beyond any that a person writes
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of every group of settings: unknown keys are refused, values are checked on assignment too."""

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, frozen=False, protected_namespaces=(), allow_inf_nan=False
    )

    def narrowed(self, kind: type[S]) -> S:
        """The part of these settings that a base class of theirs has."""
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})


T = TypeVar("T")


class Table(Mapping[str, T]):
    """What is built in, by name, and what other packages have installed under a group of entry points."""

    def __init__(self, own: dict[str, T], group: str) -> None:
        self.own, self.group = own, group

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            return self.own[name]
        point = self._installed()[name]
        try:
            return point.load()
        except Exception as error:  # whatever a foreign package does when it is imported
            where = f"entry point '{name}' of {self.group}"
            raise InputError(f"cannot be loaded ({error})", where, "update or remove its package") from error

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *sorted(self._installed().keys() - self.own.keys())])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._installed()

    def _installed(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {point.name: point for point in importlib.metadata.entry_points(group=self.group)}


def _known_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise PydanticCustomError("device", "not a device: use auto, cpu, cuda, cuda:N or mps")
    return name


DeviceName = Annotated[str, AfterValidator(_known_device)]


class _Loader(yaml.SafeLoader):
    """YAML's plain types; a date stays the text that was written, and a key that stands twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str):
                raise yaml.MarkedYAMLError(problem=f"'{key.value:.80}' stands here twice", problem_mark=key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path | str, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML mapping; `inherit: other.yaml` (relative to the file) is merged below it; lists are replaced."""
    path = Path(path)
    if not path.is_file():
        what = "not a file" if path.exists() else "no such config"
        fix = "give the path of a YAML file, such as recipes/voxceleb/conf/base.yaml"
        raise InputError(what, path, f"write --set {path}" if "=" in path.name else fix)
    if path.resolve() in _seen:
        raise InputError("configs inherit in a circle", path, "remove one `inherit:`")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("not a text in UTF-8", path, "give the path of a YAML file") from error
    values = _load(text, path) or {}
    if not isinstance(values, dict):
        raise InputError("a config is a mapping of keys to values", path, "see recipes/voxceleb/conf/base.yaml")
    parent = values.pop("inherit", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise InputError(f"`inherit:` names no file ({parent!r:.80})", path, "write the path of one YAML file")
    return merge(read_yaml(path.parent / parent, (*_seen, path.resolve())), values)


def _load(text: str, where: object) -> Any:
    """The value that a YAML text stands for. Raises InputError for one that is broken, or grows beyond all use."""
    try:
        value = yaml.load(text, _Loader)
        _measure(value, [LARGEST], DEEPEST)
    except RecursionError as error:
        raise InputError(f"nested more than {DEEPEST} levels deep", where, "write it flatter") from error
    except Exception as error:  # whatever a YAML reader stumbles over is a fault of the text
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error) or type(error).__name__
        location = f"{where}:{mark.line + 1}" if mark else where
        raise InputError(f"not valid YAML ({reason:.120})", location, "correct that line, or quote the text") from error
    return value


def _measure(value: Any, left: list[int], levels: int) -> None:
    """Count values as they would be without aliases, so that a few lines cannot stand for billions."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {LARGEST} values")
    if levels < 0:
        raise RecursionError
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _measure(inner, left, levels - 1)


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` wins over `below`, mapping by mapping."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=c` strings; c is read as YAML (numbers, lists, `null`); a list's items go by position."""
    values = merge({}, values)
    for text in overrides:
        dotted, sign, raw = text.partition("=")
        if not sign or not dotted:
            raise InputError(f"'{text}' is not of the form key=value", "--set", "write --set optim.lr=0.001")
        value = _load(raw, f"--set {dotted}")
        if isinstance(value, str):
            value = _number(value)
        node: Any = values
        *parents, last = dotted.split(".")
        for part in parents:
            if isinstance(node, list):
                node = _item(node, part, dotted)
            else:
                node[part] = _group(node.get(part, {}), dotted)
                node = node[part]
        if isinstance(node, list):
            node[_position(node, last, dotted)] = value
        else:
            node[last] = value
    return values


def _number(text: str) -> Any:
    """YAML 1.1 reads `1e-3` as text; people mean a number."""
    return float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", text) else text


def _position(node: list[Any], part: str, dotted: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise InputError(f"no item '{part}' in a list of {len(node)}", f"--set {dotted}", "count from 0")
    return int(part)


def _item(node: list[Any], part: str, dotted: str) -> Any:
    position = _position(node, part, dotted)
    node[position] = _group(node[position], dotted)
    return node[position]


def _group(value: Any, dotted: str) -> dict[str, Any] | list[Any]:
    """A copy of the mapping or list that a dotted key leads through."""
    if isinstance(value, list):
        return list(value)
    if value is not None and not isinstance(value, dict):
        raise InputError(f"no setting '{dotted}': {value!r:.40} has no settings below it", "--set", "shorten the key")
    return dict(value or {})


def parse(kind: type[S], values: Any, where: object, *, under: str = "") -> S:
    """Build settings of a kind; the first fault becomes an InputError naming key, bound and nearest right key.

    values: a mapping, or settings of the kind, which come back as they are. under: the key of the group that the
    values stand in, for messages.
    """
    if not isinstance(values, (dict, kind)):
        what = f"'{under}' is not a mapping of keys to values" if under else "not a mapping of keys to values"
        raise InputError(what, where, "write one `key: value` a line")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        path, message, known = explain(error, kind)
        dotted = ".".join((under, *path) if under else path)
        if known:
            raise InputError(f"unknown setting '{dotted}'", where, nearest(path[-1], known)) from error
        what = f"setting '{dotted}': {message}" if path else message
        raise InputError(what, where, "change the setting") from error


def explain(error: ValidationError, kind: type[BaseModel]) -> tuple[tuple[str, ...], str, list[str]]:
    """The first fault: the keys that lead to it, what is wrong, and for an unknown key those that are known there."""
    fault, *others = error.errors(include_url=False)
    path = tuple(str(part) for part in fault["loc"])
    messages = [fault["msg"].removeprefix("Value error, ")]
    if len(path) > 1:  # of a setting that may be of several types, what each of them asks for
        messages += [other["msg"] for other in others if other["loc"][:-1] == fault["loc"][:-1]]
    message = " or ".join(message[:1].lower() + message[1:] for message in dict.fromkeys(messages))
    if path and fault["type"] != "missing":
        message += f" (given: {fault['input']!r:.80})"
    return path, message, _keys(kind, path[:-1]) if fault["type"] == "extra_forbidden" else []


def bounds(field: FieldInfo) -> list[str]:
    """The bounds of a setting in words, such as `at least 1`."""
    return [
        f"{words} {getattr(part, key):g}"
        for part in field.metadata
        for key, words in BOUNDS.items()
        if hasattr(part, key)
    ]


def _keys(kind: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The field names of the settings that `path` leads to."""
    for part in path:
        field = kind.model_fields.get(str(part))
        if field is None:
            continue
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        nested = [k for k in inner if isinstance(k, type) and issubclass(k, BaseModel)]
        if nested:
            kind = nested[0]
    return list(kind.model_fields)


def to_yaml(settings: BaseModel) -> str:
    """The settings with all their defaults as YAML that reads back to the same, each with its meaning beside it."""
    return "".join(_yaml_lines(settings, 0))


def _yaml_lines(settings: BaseModel, depth: int) -> list[str]:
    lines = []
    plain = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value, pad = getattr(settings, name), "  " * depth
        note = f"  # {field.description}" if field.description else ""
        if isinstance(value, BaseModel):
            inner = _yaml_lines(value, depth + 1)
            lines += [f"{pad}{name}:{note}\n", *inner] if inner else [f"{pad}{name}: {{}}{note}\n"]
            continue
        text = yaml.safe_dump(plain[name], default_flow_style=True, width=10**9, sort_keys=False, allow_unicode=True)
        lines.append(f"{pad}{name}: {text.removesuffix(chr(10)).removesuffix('...').strip()}{note}\n")
    return lines
