"""The text teacher's table: an embedding for every class in every prompt, and whose row belongs to which class."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.errors import InputError
from speakerkd.work.arrays import read_array, read_npz
from speakerkd.work.files import whole_file
from speakerkd.work.reading import open_file
from speakerkd.work.records import parse_json, read_text

FORMAT = "a .npz with `embeddings` (K, D) or (K, P, D) and `classes` (K,), or a .npy with the names in a text file"


@dataclass(slots=True)
class TextTable:
    """classes: K names. templates: P prompts with `{}`. embeddings: (K, P, D) float32, not normalised.

    source: what made it (teacher's name, its weights' digest, the prompt set's name).
    """

    classes: list[str]
    templates: list[str]
    embeddings: np.ndarray
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        return self.embeddings.shape[2]

    def for_classes(
        self, classes: Sequence[str], aliases: Mapping[str, str] | None = None, where: object = ""
    ) -> TextTable:
        """The rows of these classes, in their order; aliases: {class: name in the table}.

        Names are equal when they agree but for case, `_`, `-` and spaces. Raises InputError, with near names, for a
        class that the table lacks or has twice, and for two classes that would share a row.
        """
        aliases = dict(aliases or {})
        unknown = sorted(aliases.keys() - set(classes))
        if unknown:
            raise InputError(
                f"an alias for '{unknown[0]}', which is no class of the data", where, near(unknown[0], classes)
            )
        rows: dict[str, int] = {}
        places: dict[str, list[int]] = {}
        for row, name in enumerate(self.classes):
            places.setdefault(plain(name), []).append(row)
        missing = []
        for name in classes:
            matches = places.get(plain(aliases.get(name, name)), [])
            if len(matches) > 1:
                raise InputError(f"the table has '{name}' {len(matches)} times", where, "keep one of the rows")
            if matches:
                rows[name] = matches[0]
            else:
                missing.append(f"'{aliases.get(name, name)}' ({near(aliases.get(name, name), self.classes)})")
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            fix = "say which with --alias 'CLASS=NAME IN THE TABLE', or correct classes.txt"
            raise InputError(f"the table has no {', '.join(missing[:5])}{more}", where, fix)
        taken: dict[int, str] = {}
        for name, row in rows.items():
            if row in taken:
                both = f"'{taken[row]}' and '{name}' would both be taught by '{self.classes[row]}'"
                raise InputError(both, where, "give each class a row of its own")
            taken[row] = name
        return replace(self, classes=list(classes), embeddings=self.embeddings[list(rows.values())])

    def for_templates(self, templates: Sequence[str], where: object = "") -> TextTable:
        """The columns of these prompts, in their order."""
        lacking = [template for template in templates if template not in self.templates]
        if lacking:
            raise InputError(
                f"the table was not made with the prompt '{lacking[0]}'",
                where,
                "make it with `speakerkd embed-teacher`",
            )
        return replace(
            self,
            templates=list(templates),
            embeddings=self.embeddings[:, [self.templates.index(template) for template in templates]],
        )


def plain(name: str) -> str:
    """A name for comparing: lower case, `_`, `-` and spaces alike."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def near(name: str, known: Sequence[str], most: int = 5) -> str:
    """`near: 'x', 'y'` for names that share a word with `name` or are spelt much like it."""
    words = set(plain(name).split())
    sharing = [other for other in known if words & set(plain(other).replace("(", " ").replace(")", " ").split())]
    alike = difflib.get_close_matches(plain(name), {plain(other): other for other in known}, n=most, cutoff=0.6)
    by_plain = {plain(other): other for other in known}
    others = list(dict.fromkeys([*sorted(sharing, key=len), *(by_plain[text] for text in alike)]))[:most]
    return "near: " + ", ".join(f"'{other}'" for other in others) if others else "nothing near it"


def write_text_table(path: Path | str, table: TextTable) -> None:
    """Write a table as `.npz`, whole or not at all."""
    with whole_file(path, "wb") as stream:
        np.savez(
            stream,
            embeddings=table.embeddings.astype(np.float32),
            classes=np.array(table.classes),
            templates=np.array(table.templates),
            source=np.array(json.dumps(table.source, sort_keys=True)),
        )


def read_text_table(path: Path | str, names: Path | str | None = None) -> TextTable:
    """Read a table of ours or a ready one: `.npz` with class names, or `.npy` with names in a text file, one a line.

    names: that text file; `<table>.txt` beside a .npy where it is not given.
    Raises InputError for a file that is not such a table, or holds numbers that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such text table", path, "make it with `speakerkd embed-text DIR --teacher clip`")
    fix = f"give {FORMAT}"
    with open_file(path, "text table", fix) as stream:
        several = stream.read(2) == b"PK"  # a zip of arrays
    if several:
        arrays = read_npz(path, ("embeddings", "classes", "templates", "source"), fix)
    else:
        arrays = {"embeddings": read_array(path, fix, "f"), "classes": _names(path, names)}
    if not {"embeddings", "classes"} <= arrays.keys():
        raise InputError(f"a table with {', '.join(arrays) or 'nothing'}", path, f"give {FORMAT}")
    embeddings = arrays["embeddings"]
    if embeddings.ndim == 2:
        embeddings = embeddings[:, None]
    classes = [str(name) for name in np.ravel(arrays["classes"])]
    if embeddings.ndim != 3 or len(embeddings) != len(classes) or not np.issubdtype(embeddings.dtype, np.floating):
        shape = f"{arrays['embeddings'].dtype} {arrays['embeddings'].shape}"
        raise InputError(f"embeddings {shape} for {len(classes)} names", path, f"give {FORMAT}")
    embeddings = embeddings.astype(np.float32)
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all((1, 2)))[0])
        raise InputError(f"the embedding of '{classes[row]}' is not finite", path, "make the table again")
    if not np.linalg.norm(embeddings, axis=2).all():
        row = int(np.flatnonzero(~np.linalg.norm(embeddings, axis=2).all(1))[0])
        raise InputError(f"the embedding of '{classes[row]}' is zero", path, "make the table again")
    templates = [str(text) for text in np.ravel(arrays.get("templates", np.array([])))]
    if not templates:
        templates = ["{}"] if embeddings.shape[1] == 1 else [f"{{}} ({i})" for i in range(embeddings.shape[1])]
    if len(templates) != embeddings.shape[1]:
        raise InputError(
            f"{len(templates)} templates for {embeddings.shape[1]} embeddings a class", path, f"give {FORMAT}"
        )
    source = parse_json(str(arrays["source"]), dict[str, Any], path, fix) if "source" in arrays else {"name": path.stem}
    return TextTable(classes, templates, embeddings, source)


def _names(path: Path, names: Path | str | None) -> np.ndarray:
    file = Path(names) if names else path.with_suffix(".txt")
    if not file.is_file():
        raise InputError("a .npy table needs its class names", file, "name a text file, one class a line, with --names")
    lines = read_text(file, "save the names as text, one class a line").splitlines()
    return np.array([line.strip() for line in lines if line.strip()])
