"""If these fail, a message tells a user to give an option, a setting or a verb that does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
from pydantic import BaseModel

import speakerkd
from speakerkd.cli.main import speakerkd as command
from speakerkd.config import Settings
from speakerkd.losses import LOSSES
from speakerkd.tasks.table import TASKS
from speakerkd.training.experiment import Experiment
from speakerkd.training.settings import TrainSettings

HOME = Path(speakerkd.__file__).parent
OTHERS = {  # of other programs, or of a table of flags that is not the command line's
    "--nproc-per-node", "--no-python",  # torchrun
    "--no",  # how a flag is switched off
    "--compression-method",  # Kaldi's copy-feats
    "--no-deps",  # pip
    "--always", "--dirty", "--exclude",  # git describe
}  # fmt: skip
FILES = r"\.(json|npz|npy|scp|ark|safetensors|rejected|notes|yaml|wav|txt|pt|onnx)\b"
GROUPS = ("data", "student", "teacher", "loss", "projection", "optim", "train")


@cache
def verbs() -> dict[tuple[str, ...], set[str]]:
    """{verb: its options}; a group of verbs has none of its own."""

    def below(group: click.Command, context: click.Context, name: tuple[str, ...]) -> Iterator[tuple]:
        if isinstance(group, click.Group):
            for part in group.list_commands(context):
                one = group.get_command(context, part)
                yield from below(one, click.Context(one, info_name=part, parent=context), (*name, part))
        options = [p for p in group.params if isinstance(p, click.Option)]
        yield name, {"--help", *(flag for p in options for flag in (*p.opts, *p.secondary_opts))}

    group = command()
    return dict(below(group, click.Context(group, info_name="speakerkd"), ()))


@cache
def texts() -> list[tuple[str, str]]:
    """(where, text) of every string that the package holds; what is put in stands as `{}`."""
    strings = []
    for path in sorted(HOME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            where = f"{path.relative_to(HOME)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.append((where, node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                strings.append((where, "".join(map(str, parts))))
    return strings


def settings_below(kind: type[BaseModel], prefix: str) -> Iterator[str]:
    """The dotted keys of settings, and of those within them."""
    for name, field in kind.model_fields.items():
        yield f"{prefix}.{name}"
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from settings_below(inner, f"{prefix}.{name}")


@cache
def keys() -> set[str]:
    """Every dotted key that a config may hold."""
    dotted = set(settings_below(TrainSettings, "train"))
    for task in TASKS.values():
        dotted |= {*settings_below(task.Data, "data"), *settings_below(task.Student, "student")}
    for loss in LOSSES.values():
        dotted |= set(settings_below(loss.Settings, "loss"))
    for name, field in Experiment.model_fields.items():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, Settings):
                dotted |= set(settings_below(kind, name))
    return dotted


def test_every_option_that_a_text_names_exists():
    known = set().union(*verbs().values()) | OTHERS
    flags = r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]"
    plain = [(where, re.sub(r"var\(--[\w-]+|--[\w-]+:", "", text)) for where, text in texts()]  # no style sheets
    wrong = [(where, flag) for where, text in plain for flag in re.findall(flags, text) if flag not in known]
    assert wrong == [] and len(known) > 100


def test_every_verb_that_a_text_names_exists_and_takes_the_options_shown_with_it():
    wrong, seen = [], 0
    for where, text in texts():
        for shown in re.findall(r"`speakerkd ([^`{}]+)", text):
            words = shown.split()
            name = tuple(words[:2]) if words[0] == "prepare" and len(words) > 1 and words[1].islower() else (words[0],)
            flags = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--..."}
            seen += 1
            if name != ("--help",) and (name not in verbs() or not flags <= verbs()[name]):
                wrong.append((where, shown))
    assert wrong == [] and seen > 60


def test_every_setting_that_a_text_names_exists():
    named = rf"(?<![\w./*-])((?:{'|'.join(GROUPS)})\.[a-z_]+(?:\.[a-z_]+)*)"
    wrong, seen = [], 0
    for where, text in texts():
        for key in re.findall(named, text):
            if re.search(FILES, key):
                continue
            seen += 1
            if key not in keys():
                wrong.append((where, key))
    assert wrong == [] and seen > 40


def remedies() -> list[tuple[str, ast.expr | None]]:
    """(where, expression) of what every InputError says to do."""
    fixes = []
    for path in sorted(HOME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError" and node.args):
                continue
            if not any(isinstance(part, ast.Starred) for part in node.args):
                rest = [*node.args[2:], *(k.value for k in node.keywords if k.arg == "fix")]
                fixes.append((f"{path.relative_to(HOME)}:{node.lineno}", rest[0] if rest else None))
    return fixes


def test_every_fault_says_what_to_do():
    missing = [where for where, fix in remedies() if fix is None or (isinstance(fix, ast.Constant) and not fix.value)]
    assert missing == [] and len(remedies()) > 400
