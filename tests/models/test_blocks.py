"""Residual blocks against plain arithmetic."""

import pytest
import torch
from torch import nn

from speakerkd.models.blocks import SparseConv2d, SqueezeExcite, fold_batch_norms, projection
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.speaker import SpeakerSettings, build_speaker


def test_sparse_convolution_is_the_strided_one():
    """The shortcut of narrow networks has the weights and results of the plain strided convolution, odd sizes too."""
    sparse, plain = SparseConv2d(8, 16, 1, 2, bias=False), nn.Conv2d(8, 16, 1, 2, bias=False)
    plain.load_state_dict(sparse.state_dict())
    x = torch.randn(2, 8, 7, 10)
    torch.testing.assert_close(sparse(x), plain(x))


def test_shortcut_of_a_narrow_network_survives_channels_last():
    """The plain convolution crashes here in its weight gradient, or damages memory."""
    shortcut = projection(8, 16, 2).to(memory_format=torch.channels_last)
    x = torch.randn(16, 8, 56, 56).to(memory_format=torch.channels_last)
    for _ in range(3):
        y = shortcut[0](x)
        (gradient,) = torch.autograd.grad(y.sum(), shortcut[0].weight)
    expected = x[:, :, ::2, ::2].sum((0, 2, 3)).expand(16, 8)  # d sum(Wx) / dW
    torch.testing.assert_close(gradient[:, :, 0, 0], expected, rtol=1e-4, atol=1e-2)


def test_shortcut_only_where_the_block_changes_something():
    assert projection(8, 8, 1) is None
    assert projection(8, 16, 1) is not None and projection(8, 8, 2) is not None


def test_squeeze_excite_by_hand():
    """Gate of a channel with mean m: sigmoid(relu(m)); for means 0 and ln 3 these are 1/2 and 3/4."""
    gate = SqueezeExcite(1)
    for layer in (gate.fc[0], gate.fc[2]):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    ln3 = torch.log(torch.tensor(3.0))
    x = torch.stack([torch.tensor([-1.0, 1.0]), ln3 + torch.tensor([-1.0, 1.0])]).view(2, 1, 1, 2)
    expected = x * torch.tensor([0.5, 0.75]).view(2, 1, 1, 1)
    torch.testing.assert_close(gate(x), expected)


FOLDED = {  # network -> an input, and how many BatchNorm2d nothing convolves before
    "resnet34": (lambda: build_speaker(SpeakerSettings(width=0.1, embedding=16)), (4, 60, 40), 0),
    "resnetse34v2": (
        lambda: build_speaker(SpeakerSettings(name="resnetse34v2", mels=40, embedding=16)),
        (2, 60, 40),
        17,
    ),
    "face": (lambda: build_face(FaceSettings(name="resnet18", width=0.1, embedding=16)), (4, 3, 112, 112), 2),
    "image": (lambda: build_image(ImageSettings(name="MobileNetV2", classes=4)), (4, 3, 32, 32), 0),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folded_network_is_the_same(name):
    build, shape, left = FOLDED[name]
    network = build().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    network(torch.randn(shape).double())  # moves the statistics
    network.eval()
    folded = fold_batch_norms(network)
    x = torch.randn(shape).double()
    torch.testing.assert_close(folded(x).embedding, network(x).embedding, rtol=1e-9, atol=1e-9)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules()) == left
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) > left  # the original keeps its own
