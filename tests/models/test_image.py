"""Image classifiers: sizes as published, any image size, and RepDistiller's order of maps."""

import pytest
import torch

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.models.image import NETWORKS, ImageSettings, build_image

# parameters for 100 and for 10 classes, counted on the reference implementations
COUNTS = {
    "resnet8x4": (1_233_540, 1_210_410),
    "resnet32x4": (7_433_860, 7_410_730),
    "vgg8": (3_965_028, 3_918_858),
    "vgg13": (9_462_180, 9_416_010),
    "MobileNetV2": (812_836, 697_546),
    "ShuffleV1": (949_258, 862_768),
    "ShuffleV2": (1_355_528, 1_263_278),
    "resnet20": (278_324, None),
    "resnet32": (472_756, None),
    "resnet56": (861_620, None),
    "wrn_40_2": (2_255_156, None),
    "wrn_16_2": (703_284, None),
    "wrn_40_1": (569_780, None),
    "resnet50": (23_705_252, 23_520_842),  # with the CIFAR stem
}
TORCHVISION = {"resnet18": 11_227_812, "resnet34": 21_335_972, "resnet50": 23_712_932}
# channels at height for a 32-pixel image: stem, blocks
MAPS = {
    "resnet8x4": "32@32 64@32 128@16 256@8",
    "resnet32x4": "32@32 64@32 128@16 256@8",
    "vgg8": "64@32 128@16 256@8 512@4 512@4",
    "vgg13": "64@32 128@16 256@8 512@4 512@4",
    "MobileNetV2": "16@16 12@16 16@8 48@4 160@2",
    "ShuffleV1": "24@32 240@16 480@8 960@4",
    "ShuffleV2": "24@32 116@16 232@8 464@4",
    "resnet20": "16@32 16@32 32@16 64@8",
    "resnet50": "64@32 256@32 512@16 1024@8 2048@4",
}


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_the_reference(name):
    for classes, count in zip((100, 10), COUNTS[name], strict=True):
        if count is not None:
            assert parameters(build_image(ImageSettings(name=name, classes=classes))) == count


@pytest.mark.parametrize("name", TORCHVISION)
def test_imagenet_stem_is_torchvisions(name):
    import torchvision

    ours = build_image(ImageSettings(name=name, classes=100, size=224)).eval()
    assert parameters(ours) == TORCHVISION[name]
    theirs = getattr(torchvision.models, name)(num_classes=100).eval()
    theirs.load_state_dict(ours.state_dict())  # strict: the names are torchvision's
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x).logits, theirs(x))


@pytest.mark.parametrize("name", MAPS)
def test_maps_from_stem_to_last_block(name):
    network = build_image(ImageSettings(name=name, stem_map=True)).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, 32, 32), maps=True)
        assert " ".join(f"{m.shape[1]}@{m.shape[2]}" for m in output.maps) == MAPS[name]
        network.stem_map = False
        assert len(network(torch.randn(1, 3, 32, 32), maps=True).maps) == len(output.maps) - 1
        assert network(torch.randn(1, 3, 32, 32)).maps == []


@pytest.mark.parametrize("size", [8, 32, 64, 96, 224])
@pytest.mark.parametrize("name", [n for n in NETWORKS if n not in ("resnet56", "resnet110")])  # resnet20, but deeper
def test_any_image_size(name, size):
    network = build_image(ImageSettings(name=name, classes=7, size=size)).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, size, size))
    assert output.logits.shape == (1, 7) and output.embedding.shape == (1, network.dim)
    torch.testing.assert_close(network.head(output.embedding), output.logits)


def test_stem_follows_the_image_size():
    def side_of_first_map(**values):
        size = values["size"]
        network = build_image(ImageSettings(name="resnet20", **values)).eval()
        return network(torch.randn(1, 3, size, size), maps=True).maps[0].shape[2]

    assert side_of_first_map(size=96) == 96
    assert side_of_first_map(size=128) == 32
    assert side_of_first_map(size=128, stem="cifar") == 128
    assert side_of_first_map(size=64, stem="imagenet") == 16


def test_other_sensors_have_other_channels():
    for name in ("resnet18", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2"):
        for size in (32, 128):
            network = build_image(ImageSettings(name=name, channels=13, size=size)).eval()
            assert network(torch.randn(1, 13, size, size)).logits.shape == (1, 10)


@pytest.mark.parametrize("name", ["resnet18", "resnet8x4", "vgg8", "MobileNetV2", "ShuffleV2"])
def test_encoder_without_classifier(name):
    network = build_image(ImageSettings(name=name, classes=0))
    output = network(torch.randn(2, 3, 32, 32))
    assert output.logits is None and output.embedding.shape == (2, network.dim)
    output.embedding.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet32x4", "wrn_16_2", "vgg13", "MobileNetV2", "ShuffleV1", "ShuffleV2"]
)
def test_bf16_keeps_the_direction(name):
    torch.manual_seed(0)
    network, x = build_image(ImageSettings(name=name)).eval(), torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        whole = network(x).embedding
        with torch.autocast("cpu", torch.bfloat16):
            half = network.to(memory_format=torch.channels_last)(x)
    assert half.embedding.dtype == half.logits.dtype == torch.float32
    assert torch.cosine_similarity(whole, half.embedding).min() >= 0.999


def test_unknown_name_offers_the_nearest():
    with pytest.raises(InputError, match="did you mean 'resnet32x4'"):
        parse(ImageSettings, {"name": "resnet32_x4"}, "conf.yaml")


def test_features_of_several_sensors_are_added_before_the_last_layer():
    torch.manual_seed(0)
    fused = build_image(ImageSettings(name="resnet8", classes=4, channels=5, sensors=[3, 2])).eval()
    x = torch.randn(2, 5, 32, 32)
    output = fused(x)
    alone = [encoder(part).embedding for encoder, part in zip(fused.encoders, (x[:, :3], x[:, 3:]), strict=True)]
    assert torch.allclose(output.embedding, alone[0] + alone[1])
    assert torch.allclose(output.logits, (alone[0] + alone[1]) @ fused.fc.weight.T + fused.fc.bias, atol=1e-6)
    assert fused.without_head()(x).logits is None
    with pytest.raises(ValueError, match=r"sensors of \[3, 1\] channels in pictures of 5"):
        ImageSettings(channels=5, sensors=[3, 1])


def test_a_narrow_resnet_has_torchvisions_layout_and_is_as_deep():
    narrow = build_image(ImageSettings(name="resnet18", width=0.25, classes=7))
    full = build_image(ImageSettings(name="resnet18", classes=7))
    assert narrow.state_dict().keys() == full.state_dict().keys()
    assert narrow.dim == 128 and narrow(torch.randn(2, 3, 32, 32)).logits.shape == (2, 7)
    with pytest.raises(ValueError, match="resnet18 and resnet34"):
        ImageSettings(name="vgg8", width=0.5)
