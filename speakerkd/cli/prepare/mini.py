"""Make a small corpus of faces and synthetic voices, in the layouts of VoxCeleb1, VoxCeleb2 and MUSAN.

Needs no download. Writes OUTPUT/vox1, OUTPUT/vox2 and OUTPUT/musan; make data directories of them with
`speakerkd prepare voxceleb` and `speakerkd prepare musan`.

Example: speakerkd prepare mini corpora/mini
"""

from __future__ import annotations

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import Output
from speakerkd.cli.shared import Machines
from speakerkd.corpora.mini.settings import MiniSettings


class MiniOptions(Machines, MiniSettings, Output):
    """The corpus, where it goes, and who makes it."""


@verb("output", cost="output")
def mini(settings: MiniOptions) -> None:
    """Make the corpus and say how much it holds."""
    from speakerkd.corpora.mini.corpus import write_mini

    corpus = settings.narrowed(MiniSettings)
    counts = write_mini(settings.output, corpus, jobs=settings.jobs, cluster=settings.cluster)
    held = f"{counts['people']} people, {counts['utterances']} utterances, {counts['trials']} trials"
    print(f"mini {settings.output}: {held}")
