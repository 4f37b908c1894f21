"""A verb's options, made from its typed settings: each is named, bounded and explained once, in the Settings class.

@verb("directory")
def fbank(settings: FbankOptions) -> None: ...

makes the command `speakerkd fbank DIRECTORY --...` with an option for every other field. The docstring of the verb's
file is its help. An option of a list type takes any number of values after one mention: `--faces a.jpg b.jpg`.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from click.shell_completion import CompletionItem
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperCommand

from speakerkd.config import S, Settings, bounds, explain
from speakerkd.errors import InputError, nearest

METAVARS = {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "TEXT"}


def verb(*positional: str, cost: str | None = None) -> Callable[[Callable[[S], None]], click.Command]:
    """Make the command of a function over Settings; positional: the fields that are arguments, in order.

    cost: the field that names the folder in which `costs.json` sums up what the verb took.
    """

    def make(function: Callable[[S], None]) -> click.Command:
        kind = get_type_hints(function)["settings"]
        text = inspect.cleandoc(sys.modules[function.__module__].__doc__ or "")
        return Verb(function.__name__.rstrip("_").replace("_", "-"), kind, function, positional, text, cost)

    return make


class Verb(TyperCommand):
    """A command whose parameters are the fields of a Settings class."""

    def __init__(
        self,
        name: str,
        kind: type[Settings],
        function: Callable[[Any], None],
        positional: Sequence[str],
        text: str,
        cost: str | None = None,
    ) -> None:
        self.kind, self.function, self.cost = kind, function, cost
        fields = kind.model_fields
        arguments = [_argument(name, fields[name]) for name in positional]
        options = [_option(name, field) for name, field in fields.items() if name not in positional]
        wide = {"max_content_width": 120}
        parameters: list[click.Parameter] = [*arguments, *options]
        super().__init__(
            name,
            params=parameters,
            help=_shown(text),
            callback=self._call,
            context_settings=wide,
            rich_markup_mode=None,  # click's own help: plain text on every terminal
        )
        # where arguments follow, a number's flag ends at what is no number, and --set at what is no key=value
        self.many = {
            option.opts[0]: _fitting(fields[_field_of(kind, option.name)]) if positional else _anything
            for option in options
            if option.multiple
        }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, self.many))

    def _call(self, **values: Any) -> None:
        named = {name: value for name, value in values.items() if value is not None and value != ()}
        try:
            settings = self.kind.model_validate(named)
        except ValidationError as error:
            path, message, known = explain(error, self.kind)
            flag = next((_spelling(option) for option in self.params if path and option.name == path[0]), "")
            note = f"unknown, {nearest(path[-1], known)}" if known else message
            if not path or (len(path) == 1 and error.errors()[0]["type"].endswith(("_parsing", "_type"))):
                raise click.UsageError(f"{flag}: {note}" if flag else note) from error
            raise InputError(note, flag, f"see `{click.get_current_context().command_path} --help`") from error
        if self.cost is None:
            self.function(settings)
            return
        from speakerkd.work.costs import spending  # late, for the time that --help takes

        with spending(getattr(settings, self.cost), str(self.name)):
            self.function(settings)


def spread(arguments: Sequence[str], many: Mapping[str, Callable[[str], bool]]) -> list[str]:
    """Repeat a many-valued flag before each of its values, which is the form that click parses.

    `--faces a b --json` becomes `--faces a --faces b --json`. many: the flags, and what can be a value of each. Raises
    click.UsageError for a flag without a value.
    """
    result: list[str] = []
    flag: str | None = None
    values = 0
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[position:]]
        if argument in many:
            flag, values = argument, 0
        elif _is_flag(argument):
            flag = None
            result.append(argument)
        elif flag is not None and (values == 0 or many[flag](argument)):
            result += [flag, argument]
            values += 1
            continue
        else:
            flag = None
            result.append(argument)
        if flag is not None and values == 0 and _next_is_flag(arguments, position):
            raise click.UsageError(f"{flag} needs a value, or several")
    return result


def _next_is_flag(arguments: Sequence[str], position: int) -> bool:
    following = arguments[position + 1 : position + 2]
    return not following or _is_flag(following[0])


def _is_flag(argument: str) -> bool:
    """`-` is a file and `-5` a number (a level in dB), all else that begins with a dash is a flag."""
    return argument.startswith("-") and argument != "-" and not argument[1:2].isdigit()


def _anything(_: str) -> bool:
    return True


def _fitting(field: FieldInfo) -> Callable[[str], bool]:
    """What can be a value of a many-valued option."""
    kind, _ = _kind(field.annotation)
    if kind in (int, float):
        return lambda text: re.fullmatch(r"-?\d+(\.\d*)?([eE][-+]?\d+)?", text) is not None
    return (lambda text: "=" in text) if field.alias == "set" else _anything


def _field_of(kind: type[Settings], name: str | None) -> str:
    """The field that a parameter's name, which may be an alias, belongs to."""
    return next(own for own, field in kind.model_fields.items() if name in (own, field.alias))


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type of one value, None left out, and whether there may be many."""
    inner = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(inner[0]) if len(inner) == 1 else (str, False)
    if get_origin(annotation) is list:
        return _kind(inner[0])[0], True
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    return annotation, False


class _Text(click.ParamType):
    """Handed on as it was typed: the settings convert and check it."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.choices = [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
        self.name = "text"
        self.metavar = f"[{'|'.join(self.choices)}]" if self.choices else METAVARS.get(kind, "TEXT")

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The choices, or files where a path is meant."""
        if self.kind is Path:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(choice) for choice in self.choices if choice.startswith(incomplete)]


def _argument(name: str, field: FieldInfo) -> click.Argument:
    kind, many = _kind(field.annotation)
    return click.Argument(
        [field.alias or name], type=_Text(kind), nargs=-1 if many else 1, required=field.is_required()
    )


def _option(name: str, field: FieldInfo) -> click.Option:
    key = field.alias or name
    flag = "--" + key.replace("_", "-")
    kind, many = _kind(field.annotation)
    common: dict[str, Any] = {"help": _help(field), "required": field.is_required()}
    metavar = _Text(kind).metavar + ("..." if many else "")
    if kind is bool:
        spelling = f"{flag}/--no-{flag[2:]}" if field.default else flag
        return click.Option([spelling, key], is_flag=True, default=None, **common)
    return click.Option([flag, key], type=_Text(kind), metavar=metavar, multiple=many, **common)


def _help(field: FieldInfo) -> str:
    notes = bounds(field)
    default = field.get_default(call_default_factory=True, validated_data={})
    if not (default is PydanticUndefined or default is None or isinstance(default, bool) or default in ("", [])):
        text = " ".join(map(str, default)) if isinstance(default, list) else str(default)
        notes = [f"default: {text}", *notes]
    return (field.description or "") + (f" [{'; '.join(notes)}]" if notes else "")


def _spelling(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else (parameter.name or "").upper()


def _shown(text: str) -> str:
    """Help whose examples keep their lines."""
    parts = text.split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith("Example") else part for part in parts)
