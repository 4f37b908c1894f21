"""The one exception type for faults of the user's input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST = 30  # known names in a message


class InputError(Exception):
    """A fault in what the user gave: what is wrong, where, and what to do about it.

    Raised where the fault is known, printed once by the command line as
    ``speakerkd: error: <what>, <where>, <what to do>``.
    """

    def __init__(self, what: str, where: object = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        super().__init__(", ".join(part for part in (what, str(where), fix) if part))


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the known name nearest to `name`, else the known names, of many the first few."""
    known = sorted(known)
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(known[:MOST])
    return f"known: {shown}" + (f" and {len(known) - MOST} more" if len(known) > MOST else "")
