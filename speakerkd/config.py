"""Typed settings from YAML: inheritance, `--set a.b=c`, and an error that names the nearest key for a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from speakerkd.errors import InputError, nearest


class Settings(BaseModel):
    """Base of every group of settings: unknown keys are refused, values are checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=False, protected_namespaces=())


S = TypeVar("S", bound=Settings)


def read_yaml(path: Path | str, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a YAML mapping; `inherit: other.yaml` (relative to the file) is merged below it; lists are replaced."""
    path = Path(path)
    if not path.is_file():
        fix = "give the path of a YAML file, such as recipes/voxceleb/conf/base.yaml"
        raise InputError("no such config", path, f"write --set {path}" if "=" in path.name else fix)
    if path.resolve() in _seen:
        raise InputError("configs inherit in a circle", path, "remove one `inherit:`")
    try:
        with open(path, encoding="utf-8") as stream:
            values = yaml.safe_load(stream) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise InputError(
            f"not valid YAML ({getattr(error, 'problem', None) or error})", where, "mend the file"
        ) from error
    if not isinstance(values, dict):
        raise InputError("a config is a mapping of keys to values", path, "see recipes/voxceleb/conf/base.yaml")
    parent = values.pop("inherit", None)
    if parent is None:
        return values
    return merge(read_yaml(path.parent / parent, (*_seen, path.resolve())), values)


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
        try:
            value = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise InputError(f"'{raw}' is not a YAML value", f"--set {dotted}", "quote it") from error
        if isinstance(value, str):
            value = _number(value)
        node: Any = values
        *parents, last = dotted.split(".")
        for part in parents:
            if isinstance(node, list):
                node = _item(node, part, dotted)
            else:
                child = node.get(part)
                node[part] = list(child) if isinstance(child, list) else dict(child or {})
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
    node[position] = dict(node[position])
    return node[position]


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
        fault = error.errors(include_url=False)[0]
        path = fault["loc"]
        dotted = ".".join(str(part) for part in ((under, *path) if under else path))
        if fault["type"] == "extra_forbidden":
            fix = nearest(str(path[-1]), _keys(kind, path[:-1]))
            raise InputError(f"unknown setting '{dotted}'", where, fix) from error
        message = fault["msg"][0].lower() + fault["msg"][1:]
        value = "" if fault["type"] == "missing" else f" (given: {fault['input']!r:.80})"
        what = f"setting '{dotted}': {message}{value}" if path else message
        raise InputError(what, where, "change the setting") from error


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
