"""Score files: a header that says how the scores came about, then `enrol test score [label]` a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import NameIndex
from speakerkd.data.text import fields_of, numbered_lines, real_number
from speakerkd.data.trials import TrialList
from speakerkd.errors import InputError
from speakerkd.work.files import whole_file

STEP = 1 << 16
MAKE = "make it with `speakerkd score`"


def write_scores(path: Path | str, trials: TrialList, scores: NDArray, header: Mapping[str, object]) -> None:
    """Write the scores of a list, every digit that their type holds, whole or not at all.

    Parameters
    ----------
    trials: the n trials.
    scores: (n,).
    header: written as `# name: value` lines above (protocol, model, data, version, ...).
    """
    digits = "%.9g" if scores.dtype == np.float32 else "%.17g"
    enrol, test = trials.enrol_names, trials.test_names
    with whole_file(path) as stream:
        for name, value in header.items():
            stream.write(f"# {name}: {' '.join(str(value).split())}\n")
        for first in range(0, len(trials), STEP):
            part = slice(first, first + STEP)
            columns = [
                map(enrol.__getitem__, trials.enrol[part].tolist()),
                map(test.__getitem__, trials.test[part].tolist()),
                scores[part].tolist(),
            ]
            if trials.label is None:
                stream.writelines(map(f"%s %s {digits}\n".__mod__, zip(*columns, strict=True)))
            else:
                names = map(("nontarget", "target").__getitem__, trials.label[part].tolist())
                stream.writelines(map(f"%s %s {digits} %s\n".__mod__, zip(*columns, names, strict=True)))


def read_header(path: Path | str) -> dict[str, str]:
    """The `# name: value` lines at the top of a score file; raises InputError as `read_scores` does."""
    header = {}
    for _, line in numbered_lines(path, "score file", MAKE):
        if not line.startswith("#"):
            break
        name, _, value = line[1:].partition(":")
        header[name.strip()] = value.strip()
    return header


def read_scores(path: Path | str, trials: TrialList) -> NDArray[np.float64]:
    """The scores of a list's trials from a file, in whatever order they stand there.

    Returns
    -------
    (n,) float64, in the order of the trials.

    Raises
    ------
    InputError
        With file and line for a broken line or a score that is no finite number, with the list's line for a trial
        without a score, and where there is no such file or it is no UTF-8 text.
    """
    path = Path(path)
    enrol, test = NameIndex(trials.enrol_names), NameIndex(trials.test_names)
    wide = len(trials.test_names)
    wanted = trials.enrol.astype(np.int64) * wide + trials.test
    pairs, values = [], []
    for number, line in numbered_lines(path, "score file", MAKE):
        if line.startswith("#"):
            continue
        fields = fields_of(line)
        score = real_number(fields[2]) if len(fields) in (3, 4) else None
        if score is None:
            what = f"not `enrol test score [label]` ('{line.strip()[:80]}')"
            raise InputError(what, f"{path}:{number}", "score the list again, or correct the line")
        values.append(score)
        i, j = enrol.find(fields[0]), test.find(fields[1])
        pairs.append(i * wide + j if i >= 0 and j >= 0 else -1)
    keys = np.array(pairs, np.int64)
    order = np.argsort(keys, kind="stable")
    position = np.searchsorted(keys[order], wanted)
    known = position < len(order)
    known[known] = keys[order[position[known]]] == wanted[known]
    if not known.all():
        first = int(np.argmin(known))
        what = (
            f"no score of '{trials.enrol_names[trials.enrol[first]]} {trials.test_names[trials.test[first]]}' in {path}"
        )
        raise InputError(
            f"{what} ({int((~known).sum())} trials without one)",
            f"{trials.path}:{trials.line(first)}",
            "score them first",
        )
    return np.array(values)[order[position]]
