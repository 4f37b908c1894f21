"""Fusion and orthogonal projection: numbers of the baseline's own code (mavceleb_baseline e2b4cb1)."""

import numpy as np
import pytest
import torch
from published_weights import filled
from torch.nn.functional import normalize

from speakerkd.distill.fop import GatedFusion, orthogonal_projection

# its names for the parts of our gate
NAMES = {"0": "attention.0.block.0", "1": "attention.0.block.1", "3": "attention.1"}


@torch.no_grad()
def test_fuses_and_projects_as_the_baseline_does():
    fusion = GatedFusion(6, 128).eval()
    state = {}
    for key, value in fusion.state_dict().items():
        _, layer, name = key.split(".")
        theirs = f"{NAMES[layer]}.{name}"
        state[key] = torch.from_numpy(filled(theirs, tuple(value.shape), not value.is_floating_point()))
    fusion.load_state_dict(state)
    face, voice = (normalize(torch.from_numpy(filled(name, (8, 6)))) for name in ("face", "voice"))
    fused = fusion(face, voice)
    assert fused.sum().item() == pytest.approx(-1.0599871, abs=1e-5)
    np.testing.assert_allclose(fused[0, :3].numpy(), [-0.1179400, 0.0723424, -0.5057832], atol=1e-6)
    label = torch.tensor([0, 0, 1, 1, 2, 2, 3, 0])
    assert orthogonal_projection(fused, label).item() == pytest.approx(1.6008003, abs=1e-5)


def test_people_at_right_angles_cost_nothing():
    features = torch.eye(2).repeat_interleave(2, 0)
    assert orthogonal_projection(features, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(0, abs=1e-5)
    assert orthogonal_projection(features, torch.tensor([0, 1, 0, 1])).item() == pytest.approx(1 + 0.7 * 0.5, abs=1e-5)
