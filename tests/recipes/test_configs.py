"""Every config that is shipped is valid, alone and with each size laid over it; else a user finds the misspelt key."""

from pathlib import Path

import pytest

from speakerkd.training.experiment import read_experiment

RECIPES = Path(__file__).parents[2] / "recipes"
FAMILIES = sorted(path.parent for path in RECIPES.glob("*/conf/base.yaml"))
CONFIGS = [path for family in FAMILIES for path in sorted(family.rglob("*.yaml")) if "size" not in path.parts]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(RECIPES)))
def test_config_is_valid_under_every_size(config):
    family = next(parent for parent in config.parents if parent.name == "conf")
    sizes = family / "size" / "face" if config.name.startswith("face_") else family / "size"
    for over in ([], *([size] for size in sorted(sizes.glob("*.yaml")))):
        read_experiment(config, [], None, over=over)


def test_there_are_configs():
    assert {family.parent.name for family in FAMILIES} >= {"voxceleb", "cifar", "mavceleb", "paired_images"}
