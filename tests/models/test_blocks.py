"""Residual blocks against plain arithmetic."""

import torch
from torch import nn

from speakerkd.models.blocks import SparseConv2d, SqueezeExcite, projection


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
