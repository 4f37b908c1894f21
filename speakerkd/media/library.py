"""What a decoder's library raises about one file, whatever its type, is that file's fault and nothing else's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass


class DecodingError(Exception):
    """A library could not go on with a file; the text says why, in the library's words."""


@contextlib.contextmanager
def library_call() -> Iterator[None]:
    """Around calls of a decoder's library alone: faults of our own code, outside of it, keep their type and show."""
    try:
        yield
    except Exception as error:
        raise decoding_error(error) from error


def decoding_error(error: Exception) -> DecodingError:
    """What a library raised, in its words, on one line."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return DecodingError(" ".join(str(said).split()).rstrip(". ")[:200] or type(error).__name__)


@dataclass(slots=True)
class Account:
    """What was met while decoding: seconds by the header; packets, how many of them failed, their seconds, and why."""

    declared: float = 0.0
    packets: int = 0
    failed: int = 0
    lost: float = 0.0
    reason: str = ""

    def fail(self, error: DecodingError, seconds: float = 0.0) -> None:
        self.failed += 1
        self.lost += seconds
        self.reason = self.reason or str(error)
