"""Teaching objectives, one method a file; see `objective.py` for the interface."""

from speakerkd.distill.methods import METHODS, ObjectiveList, build, parse_specs
from speakerkd.distill.objective import Objective, ObjectiveSettings, Pair
from speakerkd.distill.projection import ProjectionHead, ProjectionSettings

__all__ = [
    "METHODS",
    "Objective",
    "ObjectiveList",
    "ObjectiveSettings",
    "Pair",
    "ProjectionHead",
    "ProjectionSettings",
    "build",
    "parse_specs",
]
