"""Where the sound of each utterance is: whole files of `wav.scp`, or the parts of them that `segments` names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.tables import read_table
from speakerkd.data.text import fields_of, real_number
from speakerkd.errors import InputError

SEGMENT = "write `utterance recording start end` on every line, times in seconds, the end after the start"
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Sound:
    """A file, or the part of it from `start` to `end` in seconds; end None: to the end of the file."""

    path: str
    start: float = 0.0
    end: float | None = None

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None

    def cut(self, samples: NDArray[Number], rate: int) -> NDArray[Number]:
        """This part of the file's samples (N,) at `rate` Hz.

        Raises InputError where the file ends before the part begins, or more than half a second before it ends
        (shorter gaps come from rounded times, as Kaldi's extract-segments allows).

        >>> Sound("a.wav", 0.5, 1.0).cut(np.arange(16), 10)
        array([5, 6, 7, 8, 9])
        """
        first = round(self.start * rate)
        last = len(samples) if self.end is None else round(self.end * rate)
        if first >= len(samples) or last > len(samples) + rate / 2:
            what = f"the segment {self} lies beyond the recording's end at {len(samples) / rate:.3f} s"
            raise InputError(what, self.path, "correct `segments`")
        return samples[first:last]

    def __str__(self) -> str:
        """The path, with the part in seconds where it is not the whole file: `a.wav[0.5:1]`."""
        end = "" if self.end is None else f"{self.end:g}"
        return self.path if self.is_whole else f"{self.path}[{self.start:g}:{end}]"


def is_command(value: str) -> bool:
    """Whether a value of `wav.scp` is a command line in Kaldi's way (`sox a.sph |`): such a line is never run.

    >>> is_command("sph2pipe a.sph |"), is_command("/data/a.wav")
    (True, False)
    """
    return value.startswith("|") or value.endswith("|")


def parse_segment(value: str) -> tuple[str, float, float | None] | None:
    """Recording, start and end of the value `recording start end` of `segments`; None for one of another form.

    An end of -1 means the recording's end, as in Kaldi.

    >>> parse_segment("talk 0.5 2"), parse_segment("talk 3 -1"), parse_segment("talk 2 1")
    (('talk', 0.5, 2.0), ('talk', 3.0, None), None)
    """
    fields = fields_of(value)
    if len(fields) != 3:
        return None
    start, end = real_number(fields[1]), real_number(fields[2])
    if start is None or end is None or start < 0 or not (end > start or end == -1):
        return None
    return fields[0], start, None if end == -1 else end


def read_sounds(directory: Path | str) -> dict[str, Sound]:
    """The sound of each utterance of a data directory, from `wav.scp` and, where it is there, `segments`.

    Returns
    -------
    {utterance: Sound}, in the order of `segments` if there is one, else of `wav.scp`.

    Raises
    ------
    InputError
        With the file, for a table that is missing, broken or empty, a segment of another form, and one of a recording
        that `wav.scp` lacks. (A command line in place of a path is refused when that recording is read.)
    """
    directory = Path(directory)
    recordings = read_table(directory / "wav.scp")
    if not recordings:
        raise InputError("no recordings", directory / "wav.scp", "make it with `speakerkd prepare`")
    listed = directory / "segments"
    if not listed.exists():
        return {key: Sound(path) for key, path in recordings.items()}
    sounds: dict[str, Sound] = {}
    for key, value in read_table(listed).items():
        segment = parse_segment(value)
        if segment is None:
            raise InputError(f"'{key} {value[:80]}' is no segment", listed, SEGMENT)
        if segment[0] not in recordings:
            raise InputError(f"'{segment[0]}' of '{key}' is not in wav.scp", listed, "name recordings of wav.scp")
        sounds[key] = Sound(recordings[segment[0]], *segment[1:])
    return sounds
