"""Make data directories of a corpus: VoxCeleb, CN-Celeb, MUSAN, pictures, your own folders, or one made here.

Other packages add theirs under the entry point `speakerkd.corpora`.
"""

from __future__ import annotations

import click

from speakerkd.cli.groups import Verbs
from speakerkd.config import Table

CORPORA = ("mini", "voxceleb", "cnceleb", "musan", "folder", "images", "mavceleb", "trials")

PLUGINS: Table[click.Command] = Table({}, "speakerkd.corpora")

prepare = Verbs(
    "speakerkd.cli.prepare",
    CORPORA,
    name="prepare",
    help="Make data directories of a corpus.",
    plugins=PLUGINS,
)
