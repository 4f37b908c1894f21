"""A command of many verbs, each in a file of its own that is imported when it is named."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import keyword
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from typer.core import TyperGroup

from speakerkd.errors import InputError, nearest


class Verbs(TyperGroup):
    """Verbs of a package, and those that others have installed under an entry point.

    package: its module `embed_text` holds the command `embed_text` as the verb `embed-text`; the module's docstring is
    its help. plugins: further verbs by name.
    """

    def __init__(
        self,
        package: str,
        verbs: Sequence[str],
        *,
        name: str,
        help: str,
        plugins: Mapping[str, click.Command] | None = None,
    ) -> None:
        super().__init__(name=name, help=help, no_args_is_help=True, rich_markup_mode=None)
        self.package, self.verbs = package, verbs
        self.plugins = {} if plugins is None else plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.verbs, *self.plugins]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.verbs:
            module = _module(cmd_name)
            command = getattr(importlib.import_module(f"{self.package}.{module}"), module)
        elif cmd_name in self.plugins:
            command = self.plugins[cmd_name]
        else:
            return None
        if not isinstance(command, click.Command):
            raise InputError("not a command", f"entry point '{cmd_name}'", "make it with speakerkd.cli.options.verb")
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

    def _summary(self, name: str) -> str:
        """The first paragraph of a verb's help, read from its file without importing it."""
        if name not in self.verbs:
            try:
                return self.plugins[name].get_short_help_str(200)
            except InputError as error:
                return str(error)
        spec = importlib.util.find_spec(f"{self.package}.{_module(name)}")
        assert spec is not None and spec.origin is not None
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""
        return " ".join(text.partition("\n\n")[0].split())


def _module(verb: str) -> str:
    name = verb.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name
