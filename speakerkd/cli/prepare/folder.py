r"""Your own recordings, with or without pictures, into OUTPUT/train and OUTPUT/test.

Example: speakerkd prepare folder data --audio-root rec --image-root pics --test-fraction 0.2
    --pattern '(?P<speaker>\w+)/(?P<session>\w+)/(?P<utterance>\w+)'
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import CorpusOptions
from speakerkd.corpora.folder_settings import FolderSettings


class FolderOptions(CorpusOptions, FolderSettings):
    """Where the files are, how they are named, and where they go."""

    audio_root: Path = Field(description="folder of recordings, at any depth")
    image_root: Path | None = Field(None, description="folder of pictures or videos of the same people")


@verb("output", cost="output")
def folder(settings: FolderOptions) -> None:
    """Make the data directories and say what they hold."""
    from speakerkd.corpora.folder import prepare_folder

    names = settings.narrowed(FolderSettings)
    for built in prepare_folder(settings.output, settings.audio_root, settings.image_root, names, settings.work()):
        print(built)
