"""Recipes go with an installed speakerkd: a config by its name, a recipe copied out to run."""

import subprocess

import pytest

from speakerkd.errors import InputError
from speakerkd.training.experiment import read_experiment
from speakerkd.work.shipped import copy_recipe, find_config


def test_a_config_is_found_by_its_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("margin").name == "margin.yaml" and find_config("margin").parts[-3] == "voxceleb"
    assert find_config("cifar/clip").parts[-3:] == ("cifar", "conf", "clip.yaml")
    assert read_experiment("margin").name == "margin"
    (tmp_path / "margin.yaml").write_text("inherit: other.yaml\n")
    assert find_config("margin.yaml") == (tmp_path / "margin.yaml").relative_to(tmp_path)  # a file here comes first
    with pytest.raises(InputError, match="did you mean 'margin'"):
        find_config("margn")
    with pytest.raises(InputError, match="no such config"):
        read_experiment("own/margn.yaml")


def test_a_recipe_is_copied_with_what_it_sources(tmp_path):
    script = copy_recipe("voxceleb", tmp_path / "work")
    assert (tmp_path / "work/recipes/voxceleb/conf/margin.yaml").is_file()
    shown = subprocess.run(["bash", script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "--corpus" in shown.stdout + shown.stderr
    with pytest.raises(InputError, match="already"):
        copy_recipe("voxceleb", tmp_path / "work")
    with pytest.raises(InputError, match="did you mean 'voxceleb'"):
        copy_recipe("voxcelb", tmp_path / "other")
    assert not (tmp_path / "other").exists()
