"""The `speakerkd` command: its verbs, and the one place where faults become one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from speakerkd.cli.extras import NEEDS_TRAIN, TRAIN
from speakerkd.cli.groups import Verbs
from speakerkd.cli.streams import tolerant_streams
from speakerkd.errors import InputError, one_line
from speakerkd.version import __version__

VERBS = (  # in the order of the data's way; each is a file here, imported when it is named
    "prepare",
    "validate",
    "fbank",
    "faces",
    "augment",
    "embed-teacher",
    "embed-text",
    "import",
    "networks",
    "train",
    "embed",
    "score",
    "match",
    "match-test",
    "verify",
    "enroll",
    "identify",
    "demo",
    "classify",
    "fame",
    "compare",
    "best",
    "structure",
    "report",
    "tables",
    "export",
    "recipe",
    "doctor",
    "completion",
)
HELP = "Teach a voice model with a face: data, teaching, scoring and matching."
COMPLETION = "_SPEAKERKD_COMPLETE"  # set by the shells' completion scripts
DEBUG = "SPEAKERKD_DEBUG"


_asked: list[tuple[str, int]] = []  # how the process was asked to end, and the status that says so


class Terminated(BaseException):
    """The process was asked to end."""


def speakerkd() -> click.Group:
    """The command with all its verbs."""
    group = Verbs("speakerkd.cli", VERBS, name="speakerkd", help=HELP)
    return click.version_option(__version__, prog_name="speakerkd", message="%(prog)s %(version)s")(group)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point; always ends in SystemExit.

    Status 0: all was done. 1: bad input, or a bug, with one line. 2: bad usage. 130, 143: interrupted, terminated.
    """
    tolerant_streams()
    _asked.clear()
    if arguments is None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    if arguments is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        status = _end("interrupted", 130)
    except Terminated:
        status = _end("terminated", 143)
    except Exception as error:  # a library's import may catch what a signal raised, and fail in another way
        status = _end(*_asked[0]) if _asked else _fault(error)
    if arguments is None:  # all is written; a signal would end it without a word while Python takes itself down
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    raise SystemExit(status)


def _fault(error: Exception) -> int:
    match error:
        case InputError():
            return _fail(error.what, error.where, error.fix)
        case MemoryError():
            return _fail("out of memory", str(error), "give smaller batches or fewer processes")
        case OSError():
            what = (error.strerror or str(error)).lower()
            where = str(error.filename or "")
            return _fail(what, where, "check the path, its rights and the free disk space")
        case ModuleNotFoundError():
            return _lacking(error)
    return _report(error)


def _run(arguments: list[str]) -> int:
    try:
        os.getcwd()
    except OSError as error:  # libraries cannot be loaded then, and say so in ways of their own
        raise InputError("the working directory is gone", os.environ.get("PWD", ""), "change to one that is") from error
    group = speakerkd()
    if instruction := os.environ.get(COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, "speakerkd", COMPLETION, instruction)
    try:
        with group.make_context("speakerkd", arguments) as context:
            group.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return 2
    except click.ClickException as error:
        command: click.Context | None = getattr(error, "ctx", None)
        verb = command.command_path if command else "speakerkd"
        message = error.format_message().rstrip(".")
        _fail(message[:1].lower() + message[1:], verb, f"see `{verb} --help`")
        return 2
    return 0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends at once
    _note(("terminated", 143))
    raise Terminated


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _note(("interrupted", 130))
    raise KeyboardInterrupt


def _note(how: tuple[str, int]) -> None:
    _asked.append(how)
    threading.excepthook = lambda arguments: None  # threads of libraries stumble when their workers are ended


def _fail(what: str, where: str, fix: str) -> int:
    """One line, each part cut to a readable length."""
    if os.environ.get(DEBUG) and sys.exc_info()[0] is not None:
        traceback.print_exc()
    parts = [one_line(part, 300) for part in (what, where, fix)]
    print("speakerkd: error: " + ", ".join(part for part in parts if part), file=sys.stderr)
    return 1


def _end(how: str, status: int) -> int:
    print(f"speakerkd: {how}", file=sys.stderr)
    return status


def _lacking(error: ModuleNotFoundError) -> int:
    """An installation for exported models alone is asked for more."""
    module = (error.name or "").partition(".")[0]
    if module not in TRAIN:
        return _report(error)
    fix = f"{NEEDS_TRAIN}, or use an exported model with --runtime onnx"
    return _fail(f"{module} is not installed, which all but exported models need", "", fix)


def _report(error: Exception) -> int:
    """A bug: where it is, and how to report it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "speakerkd" in Path(frame.filename).parts] or frames
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    what = f"this is a bug in speakerkd {__version__}: {type(error).__name__}: {error}"
    fix = f"run it again with {DEBUG}=1 and report what that prints to the project's issue tracker"
    return _fail(what, where, fix)


if __name__ == "__main__":
    run()
