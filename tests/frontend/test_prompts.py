"""The prompt set: a wrong template would make another teacher than the published one."""

import pytest

from speakerkd.errors import InputError
from speakerkd.frontend.prompts import IMAGENET_80, fill, prompt_set


def test_there_are_eighty_different_templates_with_one_gap_each():
    assert len(IMAGENET_80) == len(set(IMAGENET_80)) == 80
    assert all(template.count("{}") == 1 for template in IMAGENET_80)
    assert IMAGENET_80[0] == "a bad photo of a {}."
    assert IMAGENET_80[-1] == "a tattoo of the {}."


def test_a_class_has_its_sentences_side_by_side():
    assert fill(["a {}", "the {}s"], ["cat", "dog"]) == ["a cat", "the cats", "a dog", "the dogs"]


def test_an_unknown_set_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'imagenet_80'"):
        prompt_set("imagenet80")
