"""Write a score file of the FAME challenge: the distance of voice and face for every line of a test list.

DIRECTORY is one that `speakerkd prepare mavceleb` made, with features and teacher embeddings. With --labels the EER is
printed as well.

Example: speakerkd fame data/v3/test_heard --model exp/fop --out sub_score_v3_English_heard.txt
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory
from speakerkd.evaluation.settings import ModelSettings


class FameOptions(ModelSettings, Directory):
    """What is scored, and where it goes."""

    out: Path = Field(description="score file to write, such as sub_score_v3_English_heard.txt")
    labels: Path | None = Field(None, description="`KEY 0|1` for every line, where they are known")


@verb("directory")
def fame(settings: FameOptions) -> None:
    """Write the scores and say what was left without one."""
    from speakerkd.evaluation.fame import write_fame_scores
    from speakerkd.evaluation.model import load_speaker_model

    package = load_speaker_model(settings.model, settings.device)
    scored = write_fame_scores(settings.directory, package, settings.out, settings.labels)
    print(f"{scored.path}: {scored.lines} lines" + ("" if scored.eer is None else f", EER {scored.eer:.2f} %"))
    if scored.filled:
        first = ", ".join(scored.filled[:3])
        print(f"{len(scored.filled)} lines lack a voice or a face and have the median distance ({first}, ...)")
