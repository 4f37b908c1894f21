"""DisCoM-KD's branch: what it takes apart, beside the reference's numbers and with real encoders."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from speakerkd.errors import InputError
from speakerkd.models.disentangled import DisentangledBranch, build_disentangled
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.tensors import Output

GOLDEN = Path(__file__).parents[1] / "golden" / "discomkd_a.npz"


class Given(nn.Module):
    """An encoder whose embedding is its input's first or second half."""

    def __init__(self, dim, half):
        super().__init__()
        self.dim, self.half = dim, half

    def forward(self, x, maps=False):
        return Output(x.chunk(2, 1)[self.half])


@pytest.mark.parametrize(("modality", "head"), [("f", "task_cl"), ("s", "task_cl2")])
def test_parts_and_logits_of_the_reference(modality, head):
    golden = np.load(GOLDEN)
    x = torch.from_numpy(golden[f"x_{modality}"])
    branch = DisentangledBranch(Given(8, 0), Given(8, 1), 5).double()
    front = f"mod.proj{modality.upper()}."
    branch.projection[0].load_state_dict({k: torch.from_numpy(golden[front + "l1." + k]) for k in ("weight", "bias")})
    for name in ("weight", "bias"):
        getattr(branch.projection[1], name).data = torch.from_numpy(golden[front + "bn1." + name])
        getattr(branch.classifier, name).data = torch.from_numpy(golden[f"mod.{head}.{name}"])
    output = branch(x)
    for part, value in zip(("inv", "inf", "irr"), output.parts, strict=True):
        if f"z_{part}_{modality}" in golden:
            np.testing.assert_allclose(value.detach(), golden[f"z_{part}_{modality}"], 1e-7, 1e-9)
    np.testing.assert_allclose(output.logits.detach(), golden[f"pred_{modality}"], 1e-7, 1e-9)
    assert torch.equal(output.embedding, torch.cat(output.parts[:2], 1))


@pytest.mark.parametrize("modality", ["speech", "image"])
def test_branch_of_any_modality(modality):
    if modality == "speech":
        branch = build_disentangled(SpeakerSettings(width=0.25, embedding=64), build_speaker, 7)
        x, dim = torch.randn(4, 50, 40), 64
    else:
        branch = build_disentangled(ImageSettings(name="resnet8x4", channels=2), build_image, 7)
        x, dim = torch.randn(4, 2, 32, 32), 256
    output = branch(x, maps=True)
    assert branch.dim == dim and output.embedding.shape == (4, dim) and output.logits.shape == (4, 7)
    assert [tuple(p.shape) for p in output.parts] == [(4, dim // 2)] * 3
    assert all((p >= 0).all() for p in output.parts)  # signed cosines between them are safe
    assert len(output.maps) == (4 if modality == "speech" else 3)
    (output.logits.sum() + sum(p.sum() for p in output.parts)).backward()
    assert all(p.grad is not None for p in branch.parameters())


def test_two_encoders_start_apart():
    branch = build_disentangled(SpeakerSettings(width=0.25), build_speaker, 2)
    assert not torch.equal(branch.invariant.fc.weight, branch.specific.fc.weight)


def test_rows_keep_the_parts():
    branch = build_disentangled(SpeakerSettings(width=0.25, embedding=8), build_speaker, 2).eval()
    output = branch(torch.randn(3, 20, 40))
    rows = output.rows(torch.tensor([True, False, True]))
    assert [tuple(p.shape) for p in rows.parts] == [(2, 4)] * 3


def test_unequal_encoders_are_refused():
    with pytest.raises(InputError, match="8 and 6 dimensions"):
        DisentangledBranch(Given(8, 0), Given(6, 1), 2)
    with pytest.raises(InputError, match="7 and 7 dimensions"):
        DisentangledBranch(Given(7, 0), Given(7, 1), 2)
