"""The one exception type for faults of the user's input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 30  # known names in a message
LONGEST = 400  # characters of a part of a message


def one_line(text: str, most: int = LONGEST) -> str:
    """Text as a message carries it, on one line and with its middle cut where it is longer than `most` characters.

    Line breaks and tabs become blanks; other characters that cannot be seen are escaped.

    >>> one_line("one\\ntwo\\x1b[1m"), one_line("a" * 500 + "b" * 500, 15)
    ('one two\\\\x1b[1m', 'aaaaa ... bbbbb')
    """
    if len(text) > most:
        text = f"{text[: (most - 5) // 2]} ... {text[-((most - 5) // 2) :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\t\n\r\v\f" else ascii(c)[1:-1] for c in text)


class InputError(Exception):
    """A fault in what the user gave: what is wrong, where, and what to do about it.

    Raised where the fault is known, printed once by the command line as
    ``speakerkd: error: <what>, <where>, <what to do>``.
    """

    def __init__(self, what: str, where: object = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        super().__init__(", ".join(one_line(part) for part in (what, self.where, fix) if part))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return InputError, (self.what, self.where, self.fix)  # a worker's error arrives whole


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the known name nearest to `name`, else the known names, of many the first few."""
    known = sorted(known)
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(known[:MOST])
    return f"known: {shown}" + (f" and {len(known) - MOST} more" if len(known) > MOST else "")
