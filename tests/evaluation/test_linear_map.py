"""What a user loses if these fail: a figure of what a voice tells of a face that is not one."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from speakerkd.errors import InputError
from speakerkd.evaluation.linear_map import fit_linear_map


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def corpus():
    """40 people x 5: a face's first three numbers are told by the voice, the rest and the noise are not."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    shared, own = rng.normal(size=(40, 3)), rng.normal(size=(40, 5))
    voices = np.concatenate([shared[people], rng.normal(size=(200, 9))], 1) @ rng.normal(size=(12, 12)) + 3
    faces = np.concatenate([shared, own], 1)[people] + 0.1 * rng.normal(size=(200, 8)) - 1
    return unit(voices), unit(faces), people


def test_the_map_is_scikit_learns_ridge(corpus):
    voices, faces, people = corpus
    fitted = fit_linear_map(voices, faces, people)
    x = voices - voices.mean(0)
    other = Ridge(alpha=fitted.penalty * (x**2).sum() / 12).fit(voices, faces)
    np.testing.assert_allclose(fitted.weight.T, other.coef_, rtol=1e-6, atol=1e-9)
    expected = unit(other.predict(voices) - faces.mean(0))
    np.testing.assert_allclose(fitted.voices(voices), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.faces(faces), unit(faces - faces.mean(0)), atol=1e-6)


def test_it_finds_in_new_people_what_voices_tell_and_nothing_in_noise(corpus):
    voices, faces, people = corpus
    new, noise = people >= 25, unit(np.random.default_rng(1).normal(size=voices.shape))

    def accuracy(heard):
        fitted = fit_linear_map(heard[~new], faces[~new], people[~new])
        mapped, shown = fitted.voices(heard[new]), fitted.faces(faces[new])
        own = (mapped * shown).sum(1)
        return (own[:, None] > mapped @ shown.T)[people[new][:, None] != people[new]].mean()

    assert accuracy(voices) > 0.75
    assert abs(accuracy(noise) - 0.5) < 0.12


def test_few_people_are_refused(corpus):
    voices, faces, people = corpus
    with pytest.raises(InputError, match="4 people"):
        fit_linear_map(voices[people < 4], faces[people < 4], people[people < 4])
