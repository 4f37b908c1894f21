"""Face networks: what they are made of, what they see, and whose weights they take."""

import re

import numpy as np
import pytest
import torch

from speakerkd.errors import InputError
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.face_network import embed_pictures

SIZES = {"ir50": 43_574_976, "mobilefacenet": 999_552}
DIMS = {"ir50": 512, "mobilefacenet": 128, "inception": 512, "resnet18": 512, "resnet34": 512}


def network(name, **values):
    torch.manual_seed(0)
    return build_face(FaceSettings(name=name, **values)).eval()


def pictures(count=2):
    return torch.randint(0, 256, (count, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SIZES)
def test_parameters_of_the_reference(name):
    assert sum(p.numel() for p in network(name).parameters()) == SIZES[name]


def test_ir50_has_the_keys_of_its_published_weights():
    keys = [k for k in network("ir50").state_dict() if not k.endswith("num_batches_tracked")]
    assert len(keys) == 295
    assert {k.split(".")[0] for k in keys} == {"input_layer", "body", "output_layer"}
    projected = {int(m[1]) for k in keys if (m := re.match(r"body\.(\d+)\.shortcut_layer\.[01]\.", k))}
    assert projected == {3, 7, 21}
    assert {k.split(".")[1] for k in keys if k.startswith("output_layer")} == {"0", "3", "4"}


def test_mobilefacenet_has_the_keys_of_its_published_weights():
    state = network("mobilefacenet").state_dict()
    fronts = {re.match(r"(conv1|dw_conv1|blocks\.\d+|conv2|linear7|linear1)\.", k)[1] for k in state}
    assert fronts == {"conv1", "dw_conv1", "conv2", "linear7", "linear1", *(f"blocks.{i}" for i in range(15))}
    assert {k.split(".")[3] for k in state if k.startswith("blocks.3.")} == {str(i) for i in range(8)}
    assert {k.split(".")[1] for k in state if k.startswith("conv1.")} == {"conv", "bn", "prelu"}
    assert {k.split(".")[1] for k in state if k.startswith("linear")} == {"conv", "bn"}
    expansions = [
        state[f"blocks.{i}.conv.0.weight"].shape[0] // state[f"blocks.{i}.conv.0.weight"].shape[1] for i in range(15)
    ]
    assert expansions == [2] * 5 + [4] + [2] * 6 + [4] + [2] * 2
    assert state["linear7.conv.weight"].shape == (512, 1, 7, 6)


@pytest.mark.parametrize("name", DIMS)
def test_every_network_takes_aligned_pictures(name):
    net = network(name, width=0.25) if name.startswith("resnet") else network(name)
    x = net.preprocess(pictures())
    with torch.inference_mode():
        output = net(x, maps=True)
        assert net(x).maps == []
    assert output.embedding.shape == (2, DIMS[name]) and net.dim == DIMS[name]
    assert len(output.maps) == 4 and all(m.ndim == 4 for m in output.maps)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        half = net.to(memory_format=torch.channels_last)(x).embedding
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(half, output.embedding).min() >= 0.999


def test_pixels_by_hand():
    """Black, white and one red pixel left of the middle, in each network's own scale."""
    crop = torch.zeros(1, 112, 112, 3, dtype=torch.uint8)
    crop[0, 10, 20] = torch.tensor([255, 0, 0])
    ir50 = network("ir50").preprocess(crop)
    assert ir50.shape == (1, 3, 112, 112) and ir50.dtype == torch.float32
    assert ir50[0, :, 10, 20].tolist() == [1.0, -1.0, -1.0]
    mobile = network("mobilefacenet").preprocess(crop)
    assert mobile.shape == (1, 3, 112, 96)
    assert mobile[0, :, 10, 12].tolist() == [127.5 / 128, -127.5 / 128, -127.5 / 128]  # 8 columns are cut
    inception = network("inception").preprocess(torch.full_like(crop, 255))
    assert inception.shape == (1, 3, 160, 160) and torch.allclose(inception, torch.tensor(127.5 / 128))


@pytest.mark.parametrize("crops", [torch.zeros(1, 3, 112, 112, dtype=torch.uint8), torch.zeros(1, 112, 112, 3)])
def test_other_pictures_are_refused(crops):
    with pytest.raises(ValueError, match="uint8"):
        network("resnet18", width=0.125).preprocess(crops)


def test_mirror_makes_left_and_right_alike():
    net, crops = network("mobilefacenet"), pictures()
    plain, mirrored = embed_pictures(net, crops), embed_pictures(net, crops.flip(2))
    assert not torch.allclose(plain, mirrored)
    both = embed_pictures(net, crops, mirror=True)
    torch.testing.assert_close(both, (plain + mirrored) / 2)
    torch.testing.assert_close(both, embed_pictures(net, crops.flip(2), mirror=True))


def test_inception_equals_facenet_pytorch():
    from facenet_pytorch import InceptionResnetV1

    net = network("inception")
    theirs = InceptionResnetV1(pretrained=None).eval()
    theirs.load_state_dict(net.state_dict())
    x = net.preprocess(pictures())
    with torch.inference_mode():
        ours = torch.nn.functional.normalize(net(x).embedding)
        torch.testing.assert_close(ours, theirs(x))


def test_inception_weights_come_with_a_classifier(tmp_path):
    source = network("inception")
    state = {**source.state_dict(), "logits.weight": torch.zeros(9, 512), "logits.bias": torch.zeros(9)}
    torch.save(state, tmp_path / "vggface2.pt")
    loaded = build_face(FaceSettings(name="inception", weights=tmp_path / "vggface2.pt"))
    assert torch.equal(embed_pictures(loaded, pictures()), embed_pictures(source, pictures()))


def test_checkpoint_of_a_trainer_loads(tmp_path):
    source = network("mobilefacenet")
    torch.save({"epoch": 68, "net_state_dict": source.state_dict()}, tmp_path / "068.ckpt")
    loaded = build_face(FaceSettings(name="mobilefacenet", weights=tmp_path / "068.ckpt"))
    assert not loaded.training
    assert torch.equal(embed_pictures(loaded, pictures()), embed_pictures(source, pictures()))


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(network("mobilefacenet").state_dict(), tmp_path / "mobile.pt")
    with pytest.raises(InputError) as caught:
        build_face(FaceSettings(name="ir50", weights=tmp_path / "mobile.pt"))
    line = str(caught.value)
    assert "weights of another network than IR50" in line and str(tmp_path / "mobile.pt") in line
    assert "295 missing (input_layer.0.weight, " in line and "283 unexpected (conv1.conv.weight, " in line
    assert "\n" not in line


@pytest.mark.parametrize(("width", "channels"), [(1, 512), (0.5, 256), (0.25, 128), (0.125, 64)])
def test_trainable_networks_have_four_widths(width, channels):
    net = network("resnet18", width=width, embedding=64)
    maps = net(net.preprocess(pictures(1)), maps=True).maps
    assert [m.shape[2] for m in maps] == [56, 28, 14, 7]
    assert maps[-1].shape[1] == channels


def test_trainable_network_learns_faces():
    """Two kinds of picture, bright left and bright right, told apart after a few steps."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 100, (16, 112, 112, 3))
    crops[:8, :, :56] += 100
    crops[8:, :, 56:] += 100
    net = build_face(FaceSettings(name="resnet18", width=0.125, embedding=8))
    x, label = net.preprocess(torch.from_numpy(crops.astype(np.uint8))), torch.arange(2).repeat_interleave(8)
    layer = torch.nn.Linear(8, 2)
    optimiser = torch.optim.Adam([*net.parameters(), *layer.parameters()], 1e-2)
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(layer(net(x).embedding), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (layer(net(x).embedding).argmax(1) == label).all()
