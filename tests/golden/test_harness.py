"""The harness itself: it must fail where a reference number is not met or not looked at."""

import harness
import numpy as np
import pytest
import torch
from case import Case
from torch import nn


@pytest.fixture
def one_method(monkeypatch):
    """The method `twice`, whose adapter checks y = 2x and nothing else."""

    def twice(arrays, case):
        arrays.check("y", 2 * arrays.tensor("x"))

    monkeypatch.setattr(harness.models, "ADAPTERS", {"twice": twice})


def save(folder, name, **arrays):
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return path


def test_an_unknown_case_of_a_known_method_is_run(tmp_path, one_method):
    harness.run(save(tmp_path, "twice_zz", x=np.array([1.0, 2.0]), y=np.array([2.0, 4.0])))


def test_an_unknown_method_fails(tmp_path, one_method):
    with pytest.raises(AssertionError, match="no adapter for the method 'thrice'"):
        harness.run(save(tmp_path, "thrice_a", x=np.array([1.0])))


def test_a_difference_of_a_millionth_fails(tmp_path, one_method):
    with pytest.raises(AssertionError):
        harness.run(save(tmp_path, "twice_a", x=np.array([1.0]), y=np.array([2.000002])))


def test_an_array_nobody_looked_at_fails(tmp_path, one_method):
    with pytest.raises(AssertionError, match="left out grad"):
        harness.run(save(tmp_path, "twice_a", x=np.array([1.0]), y=np.array([2.0]), grad=np.array([2.0])))


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    save(tmp_path, "twice_a", x=np.array([1.0]))
    monkeypatch.setenv("SPEAKERKD_GOLDEN", str(tmp_path))
    assert [p.name for p in harness.files(harness.folder())] == ["twice_a.npz"]


def test_a_gradient_is_compared_under_its_name(tmp_path):
    case = Case(save(tmp_path, "m_a", x=np.array([3.0]), **{"grad.x": np.array([6.0]), "grad_b.x": np.array([7.0])}))
    x = case.tensor("x", grad=True)
    case.check_gradient((x**2).sum(), {"x": x})
    with pytest.raises(AssertionError):
        case.check_gradient((x**2).sum(), {"x": x}, tag="grad_b")


def test_loading_refuses_a_weight_without_a_place_and_a_place_without_a_weight(tmp_path):
    weight, bias = np.ones((1, 2)), np.zeros(1)
    whole = Case(save(tmp_path, "m_a", **{"mod.weight": weight, "mod.bias": bias}))
    assert whole.load(nn.Linear(2, 1), "mod").weight.dtype == torch.float64
    with pytest.raises(AssertionError, match="no place for"):
        Case(save(tmp_path, "m_b", **{"mod.weight": weight, "mod.bias": bias, "mod.extra": bias})).load(
            nn.Linear(2, 1), "mod"
        )
    with pytest.raises(AssertionError, match="no value for"):
        Case(save(tmp_path, "m_c", **{"mod.weight": weight})).load(nn.Linear(2, 1), "mod")
