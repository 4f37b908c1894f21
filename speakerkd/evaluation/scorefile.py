"""Score files: a header that says how the scores came about, then `enrol test score [label]` a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.trials import TrialList
from speakerkd.errors import InputError
from speakerkd.work.files import whole_file

STEP = 1 << 16


def write_scores(path: Path | str, trials: TrialList, scores: NDArray, header: Mapping[str, object]) -> None:
    """Write the scores (n,) of a list, every digit that its type holds, whole or not at all.

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
    """The `# name: value` lines at the top of a score file."""
    header = {}
    with open(path, encoding="utf-8-sig") as stream:
        for line in stream:
            if not line.startswith("#"):
                break
            name, _, value = line[1:].partition(":")
            header[name.strip()] = value.strip()
    return header


def read_scores(path: Path | str, trials: TrialList) -> NDArray[np.float64]:
    """The scores (n,) float64 of a list's trials from a file, in whatever order they stand there.

    Raises InputError with file and line for a broken line, and with the list's line for a trial without a score.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such score file", path, "make it with `speakerkd score`")
    enrol, test = ({name: i for i, name in enumerate(names)} for names in (trials.enrol_names, trials.test_names))
    wide = len(trials.test_names)
    wanted = trials.enrol.astype(np.int64) * wide + trials.test
    pairs, values = [], []
    with open(path, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if line.startswith("#"):
                continue
            fields = line.split()
            if not fields:
                continue
            try:
                a, b, score = fields[:3]
                values.append(float(score))
            except ValueError:
                raise InputError(
                    f"not `enrol test score` ('{line.strip()[:80]}')", f"{path}:{number}", "mend it"
                ) from None
            i, j = enrol.get(a, -1), test.get(b, -1)
            pairs.append(i * wide + j if i >= 0 and j >= 0 else -1)
    keys = np.array(pairs, np.int64)
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys[order], wanted)
    found = place < len(order)
    found[found] = keys[order[place[found]]] == wanted[found]
    if not found.all():
        first = int(np.argmin(found))
        what = (
            f"no score of '{trials.enrol_names[trials.enrol[first]]} {trials.test_names[trials.test[first]]}' in {path}"
        )
        raise InputError(
            f"{what} ({int((~found).sum())} trials without one)",
            f"{trials.path}:{trials.line(first)}",
            "score them first",
        )
    return np.array(values)[order[place]]
