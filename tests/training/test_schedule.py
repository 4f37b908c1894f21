"""If these fail, learning rates differ from the published recipe's, or change after a resumption."""

from __future__ import annotations

import pytest

from speakerkd.training.schedule import ScheduleSettings, rate


def rates(settings: ScheduleSettings, steps: list[int], per_epoch: int = 10, epochs: float = 36) -> list[float]:
    return [rate(settings, 1e-3, step, per_epoch, epochs) for step in steps]


def test_the_paper_multiplies_by_three_quarters_every_three_epochs():
    curve = rates(ScheduleSettings(), [0, 29, 30, 59, 60, 359])
    assert curve == pytest.approx([1e-3, 1e-3, 7.5e-4, 7.5e-4, 5.625e-4, 1e-3 * 0.75**11])


def test_cosine_by_hand():
    # half-way: final + (1 - final) / 2 of the rate
    settings = ScheduleSettings(name="cosine", final=0.2)
    assert rates(settings, [0, 180, 360, 400]) == pytest.approx([1e-3, 0.6e-3, 0.2e-3, 0.2e-3])


def test_exponential_by_hand():
    settings = ScheduleSettings(name="exponential", final=1e-4)
    assert rates(settings, [0, 180, 360]) == pytest.approx([1e-3, 1e-5, 1e-7])


def test_warm_up_multiplies_what_runs_beneath():
    # 2 epochs of 10 steps: step n has (n + 1) / 20 of the rate, from step 19 on all of it
    settings = ScheduleSettings(name="constant", warmup=2)
    assert rates(settings, [0, 9, 19, 20]) == pytest.approx([5e-5, 5e-4, 1e-3, 1e-3])
    both = ScheduleSettings(name="step", every=1, factor=0.5, warmup=2)
    assert rates(both, [9, 10, 25]) == pytest.approx([5e-4, 1e-3 * 0.5 * 11 / 20, 2.5e-4])
