"""VoxCeleb2 into OUTPUT/train and OUTPUT/test, with faces; VoxCeleb1's trials into OUTPUT/vox1.

What is broken is listed beside each directory, in train.rejected and so on. What is not on the disk is left out, said
here and in OUTPUT/left_out.tsv: `speakerkd doctor --corpus voxceleb` shows all parts. Nothing is written into the
corpora's folders.

Example: speakerkd prepare voxceleb data --vox1 /corpora/voxceleb1 --vox2 /corpora/voxceleb2
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import CorpusOptions
from speakerkd.errors import InputError


class VoxcelebOptions(CorpusOptions):
    """Where the corpora are."""

    vox1: Path | None = Field(None, description="root of VoxCeleb1")
    vox2: Path | None = Field(None, description="root of VoxCeleb2")
    lists: Path | None = Field(
        None, description="folder of the trial lists and meta tables, if not in the corpora's roots"
    )


@verb("output", cost="output")
def voxceleb(settings: VoxcelebOptions) -> None:
    """Make the data directories; say what they hold and what is left out."""
    from speakerkd.corpora.parts import absences
    from speakerkd.corpora.voxceleb import lists_left_out, prepare_vox1, prepare_vox2
    from speakerkd.corpora.voxceleb_parts import vox1_parts, vox2_parts
    from speakerkd.work.left_out import FILE, record_left_out

    vox1, vox2, lists, output = settings.vox1, settings.vox2, settings.lists, settings.output
    if vox1 is None and vox2 is None:
        raise InputError("no corpus named", "prepare voxceleb", "give --vox1 DIR, --vox2 DIR or both")
    parts = [*(vox2_parts(vox2, lists) if vox2 else []), *(vox1_parts(vox1, lists) if vox1 else [])]
    if vox2 is not None:
        for built in prepare_vox2(output, vox2, settings.work(), lists):
            print(built)
    lost = absences(parts)
    if vox1 is not None:
        print(prepare_vox1(output, vox1, settings.work(), lists))
        lost |= {path.name: f"no scores of {path.name}: {why}" for path, why in lists_left_out(vox1, lists).items()}
    for sentence in record_left_out(output / FILE, lost):
        print(f"left out: {sentence}")
