"""What a user loses if these fail: the files of EdgeFace, plain, in int8 and with layers of low rank."""

import pytest
import timm
import torch

from speakerkd.errors import InputError
from speakerkd.models.face import FaceSettings, build_face

X = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    """EdgeFace-XXS as its authors build it, with fresh weights."""
    torch.manual_seed(0)
    return timm.create_model("edgenext_xx_small", num_classes=512).eval()


def loaded(folder, state):
    torch.save(state, folder / "edgeface.pt")
    return build_face(FaceSettings(name="edgeface", weights=folder / "edgeface.pt"))


def test_plain_weights_answer_as_timm_does(network, tmp_path):
    ours = loaded(tmp_path, {f"model.{key}": value for key, value in network.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(ours(X).embedding, network(X))
        assert [tuple(m.shape[1:]) for m in ours(X, maps=True).maps] == [
            (24, 28, 28),
            (48, 14, 14),
            (88, 7, 7),
            (168, 3, 3),
        ]


def test_int8_layers_are_unpacked(network, tmp_path):
    state = network.state_dict()
    layer = network.head.fc
    packed = torch.ao.nn.quantized.dynamic.Linear(168, 512)
    weight = torch.quantize_per_tensor(layer.weight.detach(), 0.002, 0, torch.qint8)
    packed.set_weight_bias(weight, layer.bias.detach())
    del state["head.fc.weight"], state["head.fc.bias"]
    state |= {f"head.fc.{key}": value for key, value in packed.state_dict().items()}
    ours = loaded(tmp_path, state)
    torch.testing.assert_close(ours.network.head.fc.weight.data, weight.dequantize())
    with torch.no_grad():
        assert torch.cosine_similarity(ours(X).embedding, network(X)).min() > 0.99


def test_the_factors_of_a_low_rank_are_multiplied(network, tmp_path):
    state = network.state_dict()
    first, second = torch.randn(8, 168), torch.randn(512, 8)
    bias = state.pop("head.fc.bias")
    del state["head.fc.weight"]
    state |= {"head.fc.linear1.weight": first, "head.fc.linear2.weight": second, "head.fc.linear2.bias": bias}
    ours = loaded(tmp_path, state)
    x = torch.randn(3, 168)
    torch.testing.assert_close(ours.network.head.fc(x), (x @ first.T) @ second.T + bias, rtol=1e-4, atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(InputError, match="not the weights of an EdgeFace"):
        loaded(tmp_path, {"conv.weight": torch.ones(3)})
