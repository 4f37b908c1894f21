"""Which recording a name means.

A recording is named by its path relative to a corpus, `id1/video/1`. Lists, tables, archives and folders spell it with
or without a file extension, with blanks as they are or percent-encoded (`%20`), accents in either Unicode form, and
with the `./` that `find .` writes. Those are one name; every verb that looks a recording up does it here.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from speakerkd.media.formats import AUDIO, IMAGE

# endings that a name may carry or not; what a file holds is told by its content
ENDINGS = AUDIO | IMAGE
AMBIGUOUS = -2  # several keys answer to the name


def composed(text: str) -> str:
    """A name in Unicode's composed form (NFC), in which every name is compared: macOS writes the other one.

    >>> composed("Zoe\\u0308") == "Zo\\u00eb"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def encode_key(text: str) -> str:
    """A path as a key: composed (NFC), every white-space character percent-encoded, everything else as it is.

    >>> encode_key("Ann Lee/1 a")
    'Ann%20Lee/1%20a'
    """
    text = composed(text)
    if text.isprintable() and " " not in text:
        return text
    return "".join(quote(letter) if letter.isspace() else letter for letter in text)


def without_extension(name: str) -> str:
    """`a/b/1` for `a/b/1.wav`; dots that are no media extension stay.

    >>> without_extension("a/v1.2/1.WAV"), without_extension("a/v1.2")
    ('a/v1.2/1', 'a/v1.2')
    """
    stem, dot, extension = name.rpartition(".")
    is_media = dot and stem and not stem.endswith("/") and "." + extension.lower() in ENDINGS
    return stem if is_media else name


def decoded(name: str) -> str:
    """A name with its percent-encoded characters as they are, composed (NFC), without empty steps (`./`, `//`).

    >>> decoded("Ann%20Lee/1.wav"), decoded("100%/1"), decoded(".//a/./1")
    ('Ann Lee/1.wav', '100%/1', 'a/1')
    """
    if "%" in name:
        with contextlib.suppress(UnicodeDecodeError):  # a percent sign may stand for itself
            name = unquote_to_bytes(name).decode()
    if "./" in name or "//" in name:
        root = "/" if name.startswith("/") else ""
        name = root + "/".join(part for part in name.split("/") if part not in ("", "."))
    return composed(name)


def plain_name(name: str) -> str:
    """The one form that all spellings of a recording's name share: decoded, composed, without a media extension.

    >>> plain_name("Ann%20Lee/1.wav") == plain_name("Ann Lee/1")
    True
    """
    return without_extension(decoded(name))


class NameIndex:
    """Finds keys by any spelling of their names.

    A name means the key that is spelt as it is; else the one key that differs from it by percent-encoding, Unicode
    form and empty steps alone; else the one key that is also equal but for a media extension. Where two keys answer at
    the same step, none is meant: `explain` says which.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self._exact = dict(zip(keys, range(len(keys)), strict=True))
        self._decoded: dict[str, int] | None = None  # made when a name is not found as it is spelt
        self._plain: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, name: str) -> int:
        """The position of the key that a name means; -1 where there is none, -2 where several answer to it."""
        position = self._exact.get(name)
        if position is not None:
            return position
        if self._decoded is None:
            self._decoded = _unique(map(decoded, self.keys))
            self._plain = _unique(map(without_extension, self._decoded), self._decoded.values())
        text = decoded(name)
        position = self._decoded.get(text)
        return self._plain.get(without_extension(text), -1) if position is None else position

    def locate(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Positions (n,) of names, -1 where none is meant.

        >>> NameIndex(["a/1.wav", "b%20c/1"]).locate(["a/1", "b c/1.flac", "1"]).tolist()
        [0, 1, -1]
        """
        exact, find = self._exact, self.find
        rows = (row if (row := exact.get(name, -1)) >= 0 else max(-1, find(name)) for name in names)
        return np.fromiter(rows, np.int64, len(names))

    def explain(self, name: str) -> str:
        """Why a name means none of the keys, as part of a sentence; empty where there is simply no such key."""
        if self.find(name) != AMBIGUOUS:
            return ""
        text = plain_name(name)
        alike = [key for key in self.keys if plain_name(key) == text]
        return f"{len(alike)} recordings answer to it: " + " and ".join(f"'{key}'" for key in alike[:2])


def _unique(names: Iterable[str], positions: Iterable[int] | None = None) -> dict[str, int]:
    """{name: position}, AMBIGUOUS for a name that stands at several positions."""
    numbers: dict[str, int] = {}
    for position, name in enumerate(names) if positions is None else zip(positions, names, strict=True):
        numbers[name] = AMBIGUOUS if numbers.setdefault(name, position) != position else position
    return numbers
