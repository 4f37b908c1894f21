"""A gallery of known voices (and faces) in one SQLite file: add, list, remove, identify."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.work.reading import check_file

Kind = Literal["voice", "face"]
LARGEST = 1 << 20  # numbers of an embedding
EXACT = 1_000_000  # entries up to which every one is compared
LEARNT, PROBED = 50, 24  # beyond: vectors a cell that faiss learns its cells from, and one in so many is searched
BLOCK = 1024  # cosines of which the highest stands for all
WAIT = 60.0  # seconds that a second process waits for the first to finish writing
APPLICATION = 0x53_4B_44_47  # says in the file's header whose it is
TABLES = """
CREATE TABLE IF NOT EXISTS model (digest TEXT NOT NULL, name TEXT NOT NULL, dim INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_person ON entry (person);
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a gallery: how many recordings and faces stand for them."""

    name: str
    voices: int
    faces: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A person found for a probe, and the cosine of their mean embedding with it."""

    name: str
    similarity: float


class Gallery:
    """Embeddings of length 1 under people's names, made by one model.

    model: (digest, name, D) of the model; an existing file of another model is refused. Writers wait for one another,
    each writes all or nothing, and a killed one leaves the file as it was. None: open it as it is, to list or remove.
    """

    def __init__(self, path: Path | str, model: tuple[str, str, int] | None = None) -> None:
        self.path = Path(path)
        if model is None or self.path.is_symlink() or self.path.exists():
            check_file(self.path, "gallery", "make it with `speakerkd enroll`")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._reading():
            self._base = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
            self._base.execute("PRAGMA trusted_schema = OFF")  # a made-up file's views and triggers call nothing
            owner = self._base.execute("PRAGMA application_id").fetchone()[0]
            there = self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if there and owner != APPLICATION:
                raise InputError("a database of something else", self.path, "name another file")
            if not there:
                with self._writing():
                    self._base.execute(f"PRAGMA application_id = {APPLICATION}")
                    for statement in filter(str.strip, TABLES.split(";")):
                        self._base.execute(statement)
            self._check(model)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Within the block whatever SQLite finds wrong with the file is an InputError."""
        try:
            yield
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            what = f"not a gallery, or a damaged one ({str(error):.200})"
            raise InputError(what, self.path, "name another file, or enrol again into a new one") from error

    def _check(self, model: tuple[str, str, int] | None) -> None:
        known = self._base.execute("SELECT digest, name, dim FROM model").fetchone()
        if known is None and model is not None:
            with self._writing():
                if self._base.execute("SELECT count(*) FROM model").fetchone()[0] == 0:
                    self._base.execute("INSERT INTO model VALUES (?, ?, ?)", model)
            known = self._base.execute("SELECT digest, name, dim FROM model").fetchone()
        if model is not None and known[0] != model[0]:
            what = f"a gallery of another model, '{known[1]}', this one is '{model[1]}'"
            raise InputError(what, self.path, "use that model, or enrol into another file")
        if known is not None and not (isinstance(known[2], int) and 0 < known[2] < LARGEST):
            raise InputError("its embeddings' size is no number", self.path, "enrol again into a new one")
        self.dim = 0 if known is None else known[2]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def add(self, name: str, vectors: NDArray[np.float32], sources: Sequence[str], kind: Kind = "voice") -> None:
        """Add embeddings (N, D) of one person, all or none. Names are text as it is, and never empty."""
        if not name.strip():
            raise InputError("an empty name", self.path, "name the person")
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or len(sources) != len(vectors):
            raise InputError(
                f"embeddings {vectors.shape}, {self.dim} numbers each are asked for", self.path, "embed again"
            )
        if not np.isfinite(vectors).all():
            raise InputError("an embedding is not finite", self.path, "leave the recording out")
        unit = _unit(vectors).astype("<f4")
        rows = [(name, kind, source, row.tobytes()) for source, row in zip(sources, unit, strict=True)]
        with self._reading(), self._writing():
            self._base.executemany("INSERT INTO entry (person, kind, source, vector) VALUES (?, ?, ?, ?)", rows)

    def remove(self, name: str) -> int:
        """Remove a person; returns how many embeddings went. Raises InputError where there is none of that name."""
        with self._reading(), self._writing():
            count = self._base.execute("DELETE FROM entry WHERE person = ?", (name,)).rowcount
        if not count:
            raise InputError(f"nobody is called '{name}'", self.path, "see `speakerkd enroll GALLERY --list`")
        return count

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._reading():
            rows = self._base.execute(
                "SELECT person, sum(kind = 'voice'), sum(kind = 'face') FROM entry GROUP BY person ORDER BY person"
            )
            return [Person(str(name), voices, faces) for name, voices, faces in rows]

    def export(self) -> tuple[list[str], list[str], NDArray[np.float32]]:
        """Of every embedding person, kind and vector: N names, N kinds, (N, D)."""
        with self._reading():
            rows = self._base.execute("SELECT person, kind, vector FROM entry ORDER BY id").fetchall()
        for person, _, vector in rows:
            if not isinstance(vector, bytes) or len(vector) != 4 * self.dim:
                what = f"the embedding of '{person!s:.80}' has not {self.dim} numbers"
                raise InputError(what, self.path, "remove and enrol that person again")
        vectors = np.frombuffer(b"".join(row[2] for row in rows), "<f4").reshape(len(rows), self.dim)
        if not np.isfinite(vectors).all():
            raise InputError("an embedding is not finite", self.path, "enrol again into a new one")
        return [str(row[0]) for row in rows], [str(row[1]) for row in rows], vectors

    def index(self, kind: Kind = "voice") -> Index:
        """What probes are compared with: each person's mean embedding of a kind."""
        names, kinds, vectors = self.export()
        kept = np.array([k == kind for k in kinds], bool)
        if not kept.any():
            raise InputError(f"no {kind} is enrolled", self.path, "enrol one with `speakerkd enroll`")
        people, owner = np.unique(np.array(names, object)[kept].astype(str), return_inverse=True)
        if len(people) == int(kept.sum()):
            means = np.empty((len(people), vectors.shape[1]), np.float32)
            means[owner] = vectors[kept]
        else:
            means = np.zeros((len(people), vectors.shape[1]), np.float32)
            np.add.at(means, owner, vectors[kept])
        return Index(people.tolist(), _unit(means))

    def close(self) -> None:
        """Close the file."""
        self._base.close()


class Index:
    """N people's embeddings (N, D) of length 1; up to a million every one is compared, beyond through faiss."""

    def __init__(self, names: list[str], vectors: NDArray[np.float32]) -> None:
        self.names, self.vectors = names, np.ascontiguousarray(vectors, np.float32)
        self._faiss: Any = None
        if len(names) > EXACT:
            try:
                import faiss
            except ImportError as error:
                what = f"{len(names)} people, over {EXACT} are searched through faiss, which is not installed"
                raise InputError(what, "identify", "pip install 'speakerkd[gallery]'") from error
            cells = round(len(names) ** 0.5)  # few, since they are learnt anew whenever a gallery is opened
            self._faiss = faiss.index_factory(self.vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
            self._faiss.train(self.vectors[:: max(1, len(names) // (LEARNT * cells))])
            self._faiss.add(self.vectors)
            self._faiss.nprobe = max(1, cells // PROBED)

    def search(self, probe: NDArray[np.float32], count: int = 5) -> list[Neighbour]:
        """The people nearest to a probe (D,), by falling cosine."""
        probe = _unit(np.asarray(probe, np.float32)[None])[0]
        count = min(count, len(self.names))
        if self._faiss is not None:
            cosines, places = self._faiss.search(probe[None], count)
            return [Neighbour(self.names[p], float(c)) for c, p in zip(cosines[0], places[0], strict=True) if p >= 0]
        cosines = np.einsum("ij,j->i", self.vectors, probe)  # twice as fast as BLAS, which waits less for memory
        nearest = _highest(cosines, count)
        return [
            Neighbour(self.names[p], float(cosines[p])) for p in nearest[np.argsort(-cosines[nearest], kind="stable")]
        ]


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The places of the `count` highest values (N,), in no order.

    They lie in the `count` blocks with the highest maxima, so that no more need be sorted.
    """
    whole = len(values) // BLOCK * BLOCK
    if count * BLOCK >= whole:
        return np.argpartition(-values, count - 1)[:count]
    blocks = np.argpartition(-values[:whole].reshape(-1, BLOCK).max(1), count - 1)[:count]
    places = np.concatenate([(blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel(), np.arange(whole, len(values))])
    return places[np.argpartition(-values[places], count - 1)[:count]]


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)
