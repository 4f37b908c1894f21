"""Check a data directory: name every file, line and rule that is broken.

Example: speakerkd validate data/train
"""

from __future__ import annotations

import click

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory


@verb("directory")
def validate(settings: Directory) -> None:
    """Print every problem of the directory; exit status 1 with any."""
    from speakerkd.data.validate import describe_segments
    from speakerkd.data.validate import validate as check

    problems = check(settings.directory)
    for problem in problems:
        print(problem)
    if problems:
        raise click.exceptions.Exit(1)
    print(f"{settings.directory}: valid{describe_segments(settings.directory)}")
