"""Poolings on tensors small enough for a pencil, and beside speechbrain's."""

import math

import pytest
import torch

from speakerkd.models.pooling import (
    POOLINGS,
    AttentiveStatisticsPooling,
    ChannelAttentivePooling,
    SelfAttentivePooling,
    StatisticsPooling,
    build_pooling,
    even_weights,
    weighted_statistics,
)

FRAMES = torch.tensor([[[1.0, 2.0, 3.0, 6.0]]])  # one utterance, one channel, four frames


def test_statistics_by_hand():
    mean, deviation = weighted_statistics(FRAMES, torch.full((1, 1, 4), 0.25))
    assert mean.item() == 3.0
    assert deviation.item() == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 4))


def test_weights_move_the_statistics():
    mean, deviation = weighted_statistics(FRAMES, torch.tensor([[[0.5, 0.0, 0.0, 0.5]]]))
    assert (mean.item(), deviation.item()) == (3.5, 2.5)


def test_frames_beyond_the_length_have_no_weight():
    weight = even_weights(FRAMES.expand(2, 1, 4), torch.tensor([2, 4]))
    assert weight[:, 0].tolist() == [[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]


def _scores_0_and_ln3(pooling):
    """Attention that scores 2 ln 3 * tanh(x): weights 1/4 and 3/4 on the frames 0 and artanh(1/2)."""
    torch.nn.init.ones_(pooling.attention.hidden.weight)
    torch.nn.init.zeros_(pooling.attention.hidden.bias)
    torch.nn.init.constant_(pooling.attention.score.weight, 2 * math.log(3))
    return pooling.double()


def test_one_weight_a_frame_by_hand():
    high = math.atanh(0.5)
    x = torch.tensor([[[0.0, high]]], dtype=torch.float64)
    mean = _scores_0_and_ln3(SelfAttentivePooling(1, 1))(x)
    both = _scores_0_and_ln3(AttentiveStatisticsPooling(1, 1))(x)
    assert mean.item() == pytest.approx(0.75 * high)
    assert both[0, 1].item() == pytest.approx(high * math.sqrt(0.75 * 0.25))  # a Bernoulli variable's deviation


def test_silence_has_a_finite_gradient():
    x = torch.zeros(2, 3, 5, requires_grad=True)
    pooled = StatisticsPooling(3)(x)
    pooled.sum().backward()
    assert torch.allclose(pooled[:, 3:], torch.tensor(1e-5).sqrt())
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_does_not_change_a_pooling(name):
    torch.manual_seed(0)
    pooling = build_pooling(name, 6, 4).eval()
    x = torch.randn(2, 6, 9)
    x[0, :, 5:] = 100.0  # whatever stands in the padding
    padded = pooling(x, torch.tensor([5, 9]))
    assert padded.shape == (2, pooling.dim)
    torch.testing.assert_close(padded[:1], pooling(x[:1, :, :5]))
    torch.testing.assert_close(padded[1:], pooling(x[1:]))


@pytest.mark.parametrize("name", POOLINGS)
def test_statistics_keep_float32_under_bf16(name):
    pooling = build_pooling(name, 6, 4).eval()
    x = torch.randn(2, 6, 50)
    with torch.autocast("cpu", torch.bfloat16):
        low = pooling(x.bfloat16())
    assert low.dtype == torch.float32
    assert torch.cosine_similarity(low, pooling(x)).min() > 0.9999


def test_context_attention_equals_speechbrain():
    from speechbrain.lobes.models.ECAPA_TDNN import AttentiveStatisticsPooling as Theirs

    torch.manual_seed(0)
    theirs = Theirs(6, attention_channels=4).double().eval()
    ours = ChannelAttentivePooling(6, 4, "relu-bn-tanh", "ecapa", floor=1e-12).double().eval()
    state = theirs.state_dict()
    ours.load_state_dict(
        {
            "attention.0.weight": state["tdnn.conv.conv.weight"],
            "attention.0.bias": state["tdnn.conv.conv.bias"],
            **{f"attention.2.{k.rpartition('.')[2]}": v for k, v in state.items() if k.startswith("tdnn.norm.")},
            "attention.4.weight": state["conv.conv.weight"],
            "attention.4.bias": state["conv.conv.bias"],
        }
    )
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    lengths = torch.tensor([8, 4, 6])
    torch.testing.assert_close(ours(x, lengths), theirs(x, lengths / 8)[:, :, 0])
