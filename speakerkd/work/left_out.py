"""The record of what a corpus lacks, and of the figures that fall away with it: made by `prepare`, told by `report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from speakerkd.work.files import whole_file

FILE = "left_out.tsv"


def record_left_out(path: Path, reasons: Mapping[str, str | None]) -> list[str]:
    """Enter what was looked at: {part: a sentence about what falls away, or None where the part is there}.

    Parts that an earlier call entered and this one did not look at stay. Gives the sentences of this call.
    """
    rows = _rows(path)
    for name, sentence in reasons.items():
        rows.pop(name, None)
        if sentence is not None:
            rows[name] = " ".join(sentence.split())
    with whole_file(path) as stream:
        stream.writelines(f"{name}\t{sentence}\n" for name, sentence in rows.items())
    return [rows[name] for name in reasons if name in rows]


def read_left_out(path: Path) -> list[str]:
    """The sentences of the record; [] where there is none."""
    return list(_rows(path).values())


def _rows(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return {name: sentence for name, mark, sentence in (line.partition("\t") for line in lines) if mark}
