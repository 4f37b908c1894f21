"""Settings: what a user writes in YAML and on the command line."""

import pytest
from pydantic import Field

from speakerkd.config import Settings, apply_overrides, parse, read_yaml
from speakerkd.errors import InputError


class Optimiser(Settings):
    lr: float = Field(1e-3, gt=0)


class Experiment(Settings):
    optim: Optimiser = Optimiser()
    systems: list[Optimiser] = []


def test_a_child_config_wins_over_its_parent_key_by_key(tmp_path):
    (tmp_path / "base.yaml").write_text("optim: {lr: 0.1, decay: 5}\nlist: [1, 2]\n")
    (tmp_path / "child.yaml").write_text("inherit: base.yaml\noptim: {lr: 0.2}\nlist: [3]\n")
    assert read_yaml(tmp_path / "child.yaml") == {"optim": {"lr": 0.2, "decay": 5}, "list": [3]}


def test_a_setting_given_as_a_config_is_recognised():
    with pytest.raises(InputError, match="write --set train.speakers=20"):
        read_yaml("train.speakers=20")


def test_configs_that_inherit_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("inherit: b.yaml\n")
    (tmp_path / "b.yaml").write_text("inherit: a.yaml\n")
    with pytest.raises(InputError, match="circle"):
        read_yaml(tmp_path / "a.yaml")


def test_broken_yaml_names_the_line(tmp_path):
    (tmp_path / "a.yaml").write_text("ok: 1\nbroken: [1, 2\n")
    with pytest.raises(InputError, match=r"a\.yaml:[23]"):
        read_yaml(tmp_path / "a.yaml")


def test_overrides_reach_into_mappings_and_lists_and_leave_the_original_alone():
    values = {"optim": {"lr": 0.1}, "systems": [{"lr": 1.0}, {"lr": 2.0}]}
    changed = apply_overrides(values, ["optim.lr=1e-3", "systems.1.lr=5", "data.train=a b"])
    assert changed == {"optim": {"lr": 1e-3}, "systems": [{"lr": 1.0}, {"lr": 5}], "data": {"train": "a b"}}
    assert values == {"optim": {"lr": 0.1}, "systems": [{"lr": 1.0}, {"lr": 2.0}]}


@pytest.mark.parametrize("text", ["optim.lr", "=3", "systems.7.lr=1", "systems.x.lr=1"])
def test_overrides_that_name_nothing_are_refused(text):
    with pytest.raises(InputError):
        apply_overrides({"systems": [{"lr": 1.0}]}, [text])


def test_a_misspelt_key_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"optim\.lrr.*did you mean 'lr'"):
        parse(Experiment, {"optim": {"lrr": 1}}, "x.yaml")
    with pytest.raises(InputError, match=r"optm.*did you mean 'optim'"):
        parse(Experiment, {"optm": {}}, "x.yaml")
    with pytest.raises(InputError, match=r"systems\.0\.lrr.*did you mean 'lr'"):
        parse(Experiment, {"systems": [{"lrr": 1}]}, "x.yaml")


def test_a_value_out_of_bounds_names_the_setting_and_the_bound():
    with pytest.raises(InputError, match=r"optim\.lr.*greater than 0.*-1"):
        parse(Experiment, {"optim": {"lr": -1}}, "x.yaml")


def test_a_key_that_stands_twice_is_refused_not_lost(tmp_path):
    """YAML's reader would keep the second alone: of two teachers of one name, or two learning rates."""
    path = tmp_path / "two.yaml"
    path.write_text("teachers:\n  speech: {}\n  speech: {classifier: x}\n")
    with pytest.raises(InputError, match=r"'speech' stands here twice.*two.yaml:3"):
        read_yaml(path)
    path.write_text("a: &one {lr: 1, lrr: 2}\nb: {<<: *one, lr: 3}\n")  # what is merged in may be said anew
    assert read_yaml(path)["b"] == {"lr": 3, "lrr": 2}
