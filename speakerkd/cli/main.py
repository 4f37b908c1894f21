"""The `speakerkd` command: its verbs, and the one place where faults become one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from speakerkd.cli import evaluate, features, images, import_, prepare, recipe, results, train, use

app = typer.Typer(
    name="speakerkd",
    help="Teach a voice model with a face: data, teaching, scoring and matching.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for verbs in (prepare, features, images, train, import_, evaluate, use, results, recipe):
    verbs.register(app)

MANY_VALUES = (  # flags that take any number of values after one mention
    "--faces",
    "--audios",
    "--trials",
    "--scores",
    "--development-scores",
    "--db",
    "--category",
    "--quality",
    "--prior",
    "--false-accept",
    "--options",
    "--voice-to-face",
    "--face-to-voice",
)


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeat a many-valued flag before each of its values, which is the form that click parses.

    `--faces a b --json` becomes `--faces a --faces b --json`.
    """
    result: list[str] = []
    flag: str | None = None
    values = 0
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[position:]]
        if argument in MANY_VALUES:
            flag, values = argument, 0
        elif _is_flag(argument):
            flag = None
            result.append(argument)
        elif flag is not None:
            result += [flag, argument]
            values += 1
            continue
        else:
            result.append(argument)
        if flag is not None and values == 0 and _next_is_flag(arguments, position):
            result.append(flag)  # click then says that the flag needs a value
    return result


def _next_is_flag(arguments: Sequence[str], position: int) -> bool:
    following = arguments[position + 1 : position + 2]
    return not following or _is_flag(following[0])


def _is_flag(argument: str) -> bool:
    """`-` is a file and `-5` a number (a level in dB), all else that begins with a dash is a flag."""
    return argument.startswith("-") and argument != "-" and not argument[1:2].isdigit()


def run(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit 0 when all was done, 1 with one line for bad input, 2 for bad usage, 130 when interrupted."""
    from speakerkd.errors import InputError

    arguments = spread(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get("SPEAKERKD_DEBUG"):
        app(args=arguments)
        return
    try:
        app(args=arguments)
    except InputError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(f"out of memory ({error or 'no details'}), give smaller batches or fewer processes")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        _fail(f"{what}, {error.filename or 'no path given'}, check the path, its rights and the free disk space")
    except KeyboardInterrupt:
        print("speakerkd: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _fail(message: str) -> None:
    print("speakerkd: error: " + " ".join(message.split()), file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    run()
