"""The one exception type for faults of the user's input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """A fault in what the user gave: what is wrong, where, and what to do about it.

    Raised where the fault is known, printed once by the command line as
    ``speakerkd: error: <what>, <where>, <what to do>``.
    """

    def __init__(self, what: str, where: object = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        super().__init__(", ".join(part for part in (what, str(where), fix) if part))


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the known name nearest to `name`, else the list of known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(known)
