"""What a data verb refused and why, and whether that is too much."""

from __future__ import annotations

import contextlib
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.work.files import whole_file


class Rejected:
    """Counts what went in, lists what was refused in `<output>.rejected`, and fails when more than a share was lost.

    limit: largest share of the input, in [0, 1], that may be lost (the verbs' `--max-rejected`).
    """

    def __init__(self, output: Path | str, limit: float = 0.01) -> None:
        if not 0 <= limit <= 1:
            raise InputError(
                f"a share of {limit} was given", "--max-rejected", "give a number from 0 to 1, such as 0.01"
            )
        output = Path(output)
        self.path = output.with_name(output.name + ".rejected")
        self.limit = limit
        self.taken = 0
        self.records: list[tuple[str, str]] = []
        self.notes: list[str] = []  # what else is to be said of what went through

    def take(self, count: int = 1) -> None:
        """Count records that went through."""
        self.taken += count

    def refuse(self, key: str, reason: InputError | str) -> None:
        """Note a record that was refused, and why."""
        text = reason if isinstance(reason, str) else str(reason)
        self.records.append((key, " ".join(text.split())))

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        count = self.taken + len(self)
        refused = f", {len(self)} refused (listed in {self.path})" if len(self) else ""
        return "; ".join([f"{count} in, {self.taken} out{refused}", *self.notes])

    def close(self) -> None:
        """Write the list (or remove that of an earlier run); call it before the output takes its place.

        Raises InputError when nothing is left or the share refused is above the limit.
        """
        if not self.records:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            return
        with whole_file(self.path) as stream:
            stream.writelines(f"{key}\t{reason}\n" for key, reason in self.records)
        count = self.taken + len(self)
        if self.taken == 0 or len(self) > self.limit * count:
            raise InputError(
                f"{len(self)} of {count} refused, the first because of: {self.records[0][1]}",
                self.path,
                f"read that list, then correct the input or allow more than {self.limit:g} with --max-rejected",
            )
