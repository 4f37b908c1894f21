"""Trial lists: which pairs of recordings to compare, and whether they are of one speaker.

Read are VoxCeleb's `1 a b`, the Kaldi and CN-Celeb forms `a b target|nontarget` and `a b 1`, lists without labels
`a b`, and NIST SRE tables with a header line (`modelid segmentid ... [targettype]`). Tabs, CRLF, blank lines and a
byte-order mark are no fault; where tabs part the fields, names may hold blanks, which are then percent-encoded as keys
are. A list has one form. It is read a block of bytes at a time and kept as whole numbers that name its unique
recordings.
"""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import composed, plain_name
from speakerkd.data.text import fields_of, numbered_lines
from speakerkd.errors import InputError
from speakerkd.work.reading import open_file

LABELS = {b"1": 1, b"0": 0, b"target": 1, b"nontarget": 0}
FORMS = "write `1 enrol test`, `enrol test target|nontarget`, or `enrol test` without labels, on every line"
BLOCK = 1 << 20  # bytes read at a time
LONGEST_LINE = 1 << 20  # bytes
BLANKS = " (a blank in a name is written %20, or tabs part the fields)"
Fault = Callable[[int, str, str], None]  # line, what is wrong, what to do
WHITESPACE = b" \t\r\n\x0b\x0c"
NOT_SPACE = bytes(set(range(256)) - set(WHITESPACE))
TABS_AS_SPACES = bytes.maketrans(b"\t", b" ")


@dataclass(slots=True)
class _Lines:
    """Line numbers of trials: runs of trials on consecutive lines as one number, other runs as an array."""

    firsts: list[int] = field(default_factory=list)
    runs: list[int | NDArray[np.int64]] = field(default_factory=list)

    def of(self, trial: int) -> int:
        if not self.firsts:
            return trial + 1
        run = bisect.bisect_right(self.firsts, trial) - 1
        lines, offset = self.runs[run], trial - self.firsts[run]
        return lines + offset if isinstance(lines, int) else int(lines[offset])

    def keep(self, mask: NDArray[np.bool_]) -> _Lines:
        if not self.firsts:
            return _Lines([0], [np.flatnonzero(mask) + 1])
        ends = [*self.firsts[1:], len(mask)]
        runs = [
            run + np.arange(end - first) if isinstance(run, int) else run
            for first, end, run in zip(self.firsts, ends, self.runs, strict=True)
        ]
        return _Lines([0], [np.concatenate(runs)[mask]])


@dataclass(slots=True)
class TrialList:
    """n trials over the unique names of either side.

    enrol_names, test_names: as written in the list. enrol, test: (n,) int32 positions in them.
    label: (n,) int8, 1 target, 0 non-target; None for a list without labels.
    """

    enrol_names: list[str]
    test_names: list[str]
    enrol: NDArray[np.int32]
    test: NDArray[np.int32]
    label: NDArray[np.int8] | None
    path: Path = Path("trials")
    lines: _Lines = field(default_factory=_Lines)

    def __len__(self) -> int:
        return len(self.enrol)

    @property
    def known_label(self) -> NDArray[np.int8]:
        """The labels (n,) of a list that is known to have them."""
        assert self.label is not None
        return self.label

    def line(self, trial: int) -> int:
        """The line of the file, from 1, on which this trial stands."""
        return self.lines.of(int(trial))

    def of_one_recording(self) -> NDArray[np.int64]:
        """The trials that compare a recording with itself, however the two names are spelt."""
        numbers: dict[str, int] = {}
        sides = [
            np.array([numbers.setdefault(plain_name(name), len(numbers)) for name in names])[index]
            for names, index in ((self.enrol_names, self.enrol), (self.test_names, self.test))
        ]
        return np.flatnonzero(sides[0] == sides[1])

    def keep(self, mask: NDArray[np.bool_]) -> TrialList:
        """The trials where mask (n,) is true, over the same names."""
        return TrialList(
            self.enrol_names,
            self.test_names,
            self.enrol[mask],
            self.test[mask],
            None if self.label is None else self.label[mask],
            self.path,
            self.lines.keep(mask),
        )


@dataclass(frozen=True, slots=True)
class _Form:
    """How many fields a line has and which is which."""

    fields: int
    enrol: int
    test: int
    label: int | None
    header: int = 0  # the header's line number; 0 without one


def read_trials(path: Path | str, fault: Fault | None = None) -> TrialList:
    """Read a trial list.

    Parameters
    ----------
    path : the list, in any of the forms above.
    fault : told of each broken line as (line number, what is wrong, what to do); the line is then left out. Without it
        the first broken line is an error.

    Returns
    -------
    The trials, in the list's order, over the unique names of either side.

    Raises
    ------
    InputError
        With file and line for a broken line or an unknown label, and for a list that holds no trial, is no UTF-8 text,
        or is no regular file.
    """
    path = Path(path)
    refuse = fault or _refusal(path)
    form: _Form | None = None
    enrol_ids: defaultdict[bytes, int] = defaultdict(count().__next__)
    test_ids: defaultdict[bytes, int] = defaultdict(count().__next__)
    enrol: list[NDArray[np.int32]] = []
    test: list[NDArray[np.int32]] = []
    label: list[NDArray[np.int8]] = []
    lines = _Lines()
    trials, line = 0, 1
    for block in _blocks(path):
        if form is None and block.strip():
            form = _detect(block, path, line)
        if form is None:
            line += block.count(b"\n")
            continue
        tokens, numbers = _tokens(block, form, line, refuse)
        if form.label is not None:
            tokens, numbers = _known_labels(tokens, numbers, form, refuse)
        n = len(tokens) // form.fields
        lines.firsts.append(trials)
        lines.runs.append(numbers)
        enrol.append(np.fromiter(map(enrol_ids.__getitem__, tokens[form.enrol :: form.fields]), np.int32, n))
        test.append(np.fromiter(map(test_ids.__getitem__, tokens[form.test :: form.fields]), np.int32, n))
        if form.label is not None:
            label.append(np.fromiter(map(LABELS.__getitem__, tokens[form.label :: form.fields]), np.int8, n))
        trials += n
        line += block.count(b"\n")
    if form is None or trials == 0:
        raise InputError("an empty list, no trial in it", path, FORMS)
    return TrialList(
        _names(enrol_ids, path),
        _names(test_ids, path),
        np.concatenate(enrol),
        np.concatenate(test),
        np.concatenate(label) if form.label is not None else None,
        path,
        lines,
    )


def _refusal(path: Path) -> Fault:
    def refuse(line: int, what: str, fix: str) -> NoReturn:
        raise InputError(what, f"{path}:{line}", fix)

    return refuse


def _blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of whole lines, without a byte-order mark; the last line ends with a newline too."""
    line = 1
    with open_file(path, "trial list", "give the path of a list such as veri_test2.txt") as stream:
        start = stream.read(3)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError("the list is UTF-16 text", path, "save it as UTF-8")
        left = b"" if start == b"\xef\xbb\xbf" else start
        while block := stream.read(BLOCK):
            if b"\0" in block:
                line += block[: block.index(b"\0")].count(b"\n")
                raise InputError("the list holds a NUL byte, it is no UTF-8 text", f"{path}:{line}", FORMS)
            line += block.count(b"\n")
            end = block.rfind(b"\n") + 1
            if end:
                yield left + block[:end]
                left = block[end:]
            elif len(left) > LONGEST_LINE:
                raise InputError("a line of more than a million bytes", f"{path}:{line}", FORMS)
            else:
                left += block
        if left:
            yield left if left.endswith(b"\n") else left + b"\n"


def _detect(block: bytes, path: Path, line: int) -> _Form:
    """The list's form, from its first line, or from the first line that tells which of three fields is the label."""
    for number, text in enumerate(block.split(b"\n"), line):
        fields = text.split()
        if not fields:
            continue
        names = [f.lower() for f in fields]
        if b"modelid" in names and b"segmentid" in names:
            label = names.index(b"targettype") if b"targettype" in names else None
            return _Form(len(fields), names.index(b"modelid"), names.index(b"segmentid"), label, number)
        if len(fields) > 3 or (len(fields) == 3 and fields[0] not in LABELS and fields[2] not in LABELS):
            fields = _by_tabs(text, (2, 3)) or fields
        if len(fields) == 2:
            return _Form(2, 0, 1, None)
        if len(fields) != 3:
            raise InputError(f"a broken line of {len(fields)} fields{BLANKS}", f"{path}:{number}", FORMS)
        first, last = fields[0] in LABELS, fields[2] in LABELS
        if first != last:
            return _Form(3, 1, 2, 0) if first else _Form(3, 0, 1, 2)
        if not first:
            raise InputError(f"no label in '{_text(text)}'", f"{path}:{number}", FORMS)
    raise InputError(
        "cannot tell labels from names: first and third field are both 0 or 1 on every line",
        path,
        "write `target` or `nontarget` in the third field",
    )


def _by_tabs(text: bytes, counts: tuple[int, ...]) -> list[bytes] | None:
    """A line's fields parted by tabs alone, blanks in them percent-encoded; None where their number is another."""
    fields = [field.strip() for field in text.strip(b"\r").split(b"\t")]
    if len(fields) not in counts or not all(fields):
        return None
    return [re.sub(rb"\s", lambda blank: b"%%%02X" % blank[0][0], field) for field in fields]


def _tokens(block: bytes, form: _Form, line: int, refuse: Fault) -> tuple[list[bytes], int | NDArray[np.int64]]:
    """All fields of a block's lines, and the lines' numbers (one number where they are consecutive)."""
    if form.header < line:
        # what is left without the names shows at once whether every line has its fields and nothing else
        spaces = block.translate(TABS_AS_SPACES, NOT_SPACE)
        for end in (b"\n", b"\r\n"):
            pattern = b" " * (form.fields - 1) + end
            if len(spaces) % len(pattern) == 0 and spaces == pattern * (len(spaces) // len(pattern)):
                tokens = block.split()
                if len(tokens) == form.fields * block.count(b"\n"):  # a line may begin or end with a space
                    return tokens, line
    tokens, numbers = [], []
    for number, text in enumerate(block.split(b"\n"), line):
        fields = text.split()
        if not fields or number == form.header:
            continue
        if len(fields) != form.fields:
            by_tabs = _by_tabs(text, (form.fields,))
            if by_tabs is None:
                what = f"{len(fields)} fields where the list has {form.fields} ('{_text(text)}')"
                refuse(number, what + BLANKS * (len(fields) > form.fields), FORMS)
                continue
            fields = by_tabs
        tokens += fields
        numbers.append(number)
    return tokens, np.array(numbers, np.int64)


def _known_labels(
    tokens: list[bytes], numbers: int | NDArray[np.int64], form: _Form, refuse: Fault
) -> tuple[list[bytes], int | NDArray[np.int64]]:
    """The lines whose label is one; `refuse` is told of the others."""
    labels = tokens[form.label :: form.fields]
    if LABELS.keys() >= set(labels):
        return tokens, numbers
    line_numbers = numbers + np.arange(len(labels)) if isinstance(numbers, int) else numbers
    kept = np.array([token in LABELS for token in labels])
    for index in np.flatnonzero(~kept).tolist():
        refuse(int(line_numbers[index]), f"'{_text(labels[index])}' is not a label", "write 1, 0, target or nontarget")
    lines = (tokens[start : start + form.fields] for start in range(0, len(tokens), form.fields))
    return [field for line, is_kept in zip(lines, kept, strict=True) if is_kept for field in line], line_numbers[kept]


def _names(ids: dict[bytes, int], path: Path) -> list[str]:
    try:
        return [name.decode("utf-8") for name in ids]
    except UnicodeDecodeError:
        _refuse_encoding(ids, path)


def _refuse_encoding(ids: dict[bytes, int], path: Path) -> NoReturn:
    bad = next(name for name in ids if name.decode("utf-8", "replace").encode() != name)
    with open(path, "rb") as stream:
        number = next((i for i, text in enumerate(stream, 1) if bad in text.split()), 0)
    raise InputError(f"'{_text(bad)}' is not UTF-8 text", f"{path}:{number}", "save the list as UTF-8")


def _text(raw: bytes) -> str:
    return raw.strip().decode("utf-8", "replace")[:120]


def read_models(path: Path | str) -> dict[str, list[str]]:
    """Enrolment models, `model recording [recording ...]` a line (CN-Celeb's enroll.map, Kaldi's spk2utt).

    Returns
    -------
    {model: its recordings}, names composed (NFC), in the file's order.

    Raises
    ------
    InputError
        With file and line for a model without recordings or named twice, and for what is no UTF-8 text.
    """
    form = "write `model recording [recording ...]` on every line"
    models: dict[str, list[str]] = {}
    for number, text in numbered_lines(path, "file of enrolment models", form):
        model, *recordings = map(composed, fields_of(text))
        if not recordings:
            raise InputError(f"model '{model}' has no recording", f"{path}:{number}", "name at least one")
        if model in models:
            raise InputError(f"duplicate model '{model}'", f"{path}:{number}", "keep one line a model")
        models[model] = recordings
    if not models:
        raise InputError("no model in the file", path, form)
    return models
