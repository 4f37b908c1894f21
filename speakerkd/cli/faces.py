"""Find and align one face for each session of DIRECTORY/face.scp (pictures or videos).

Writes aligned.scp and 112 x 112 pictures under DIRECTORY/aligned (--pack: in tars under DIRECTORY/faces). A second run
works on what is missing or has changed.
Sessions without a face are listed in faces.rejected, those with several faces in faces.notes; face_quality holds the
detector's score, the size and the sharpness of each face.

Example: speakerkd faces data/train --jobs 8
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Directory, Machines, Rejection
from speakerkd.config import apply_overrides, parse


class FacesOptions(Rejection, Machines, Directory):
    """The search, and who does it."""

    detect: bool = Field(
        True, description="find and align the faces; --no-detect takes square pictures that are aligned already"
    )
    each: Literal["session", "utterance"] = Field("session", description="what shares one face")
    frames: int = Field(1, ge=1, le=100, description="look at so many faces of each and take the sharpest")
    pack: bool = Field(
        False, description="keep the crops in some 256 tars rather than a file each, for hundreds of thousands of them"
    )
    padding: float | None = Field(
        None,
        ge=0,
        le=1,
        description="grey border before the search, as a share of the longer side: short for --set padding=P",
    )
    overrides: list[str] = Field(
        default_factory=list, alias="set", description="settings of the search, such as min_face=40"
    )


@verb("directory", cost="directory")
def faces(settings: FacesOptions) -> None:
    """Align the faces and say what became of the sessions."""
    from speakerkd.frontend.crops import align_faces
    from speakerkd.frontend.faces import DetectorSettings

    values = {} if settings.padding is None else {"padding": settings.padding}
    rejected = align_faces(
        settings.directory,
        parse(DetectorSettings, apply_overrides(values, settings.overrides), "--set"),
        detect=settings.detect,
        each=settings.each,
        frames=settings.frames,
        pack=settings.pack,
        jobs=settings.jobs,
        cluster=settings.cluster,
        max_rejected=settings.max_rejected,
    )
    print(f"faces {settings.directory}: {rejected}")
