"""Print what makes a shell complete verbs and options.

Example: eval "$(speakerkd completion bash)"
"""

from __future__ import annotations

from typing import Literal

import click
from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class CompletionOptions(Settings):
    """Whose completion it is."""

    shell: Literal["bash", "zsh", "fish"] = Field(description="the shell: bash, zsh or fish")


@verb("shell")
def completion(settings: CompletionOptions) -> None:
    """Print the shell's script."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(settings.shell)
    assert kind is not None
    print(kind(click.Group("speakerkd"), {}, "speakerkd", "_SPEAKERKD_COMPLETE").source())
