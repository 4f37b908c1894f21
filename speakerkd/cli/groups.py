"""A command of many verbs, each in a file of its own that is imported when it is named."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import keyword
from collections.abc import Sequence
from pathlib import Path

import click

from speakerkd.errors import InputError, nearest


class Verbs(click.Group):
    """Verbs of a package, and those that others have installed under an entry point.

    package: its module `embed_text` holds the command `embed_text` as the verb `embed-text`; the module's docstring is
    its help. plugins: a group of entry points whose names are further verbs, and whose objects are their commands.
    """

    def __init__(self, package: str, verbs: Sequence[str], *, name: str, help: str, plugins: str | None = None) -> None:
        super().__init__(name, help=help, no_args_is_help=True)
        self.package, self.verbs, self.plugins = package, verbs, plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.verbs, *sorted(self._installed())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.verbs:
            module = _module(cmd_name)
            command = getattr(importlib.import_module(f"{self.package}.{module}"), module)
        elif cmd_name in (installed := self._installed()):
            command = _loaded(installed[cmd_name])
        else:
            return None
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"no verb '{args[0]:.80}': {nearest(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, self._summary(name)) for name in self.list_commands(ctx)])

    def _installed(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {} if self.plugins is None else {p.name: p for p in importlib.metadata.entry_points(group=self.plugins)}

    def _summary(self, name: str) -> str:
        """The first paragraph of a verb's help, read from its file without importing it."""
        if name not in self.verbs:
            return f"of {self._installed()[name].value}"
        found = importlib.util.find_spec(f"{self.package}.{_module(name)}")
        assert found is not None and found.origin is not None
        text = ast.get_docstring(ast.parse(Path(found.origin).read_text("utf-8"))) or ""
        return " ".join(text.partition("\n\n")[0].split())


def _module(verb: str) -> str:
    name = verb.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _loaded(point: importlib.metadata.EntryPoint) -> click.Command:
    try:
        command = point.load()
    except Exception as error:  # whatever a foreign package does when it is imported
        raise InputError(
            f"cannot be loaded ({error})", f"{point.group} entry point '{point.name}'", "mend it"
        ) from error
    if not isinstance(command, click.Command):
        what = f"{point.value} is no command"
        raise InputError(what, f"{point.group} entry point '{point.name}'", "make it with speakerkd.cli.options.verb")
    return command
