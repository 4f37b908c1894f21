"""Speech networks: sizes, shapes, and what an embedding may depend on."""

import pytest
import torch

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.models.speaker import SpeakerSettings, build_speaker

NAMES = ("resnet34", "resnetse34v2", "ecapa", "xvector")


def network(name="resnet34", width=0.25, **values):
    torch.manual_seed(0)
    return build_speaker(SpeakerSettings(name=name, width=width, **values)).eval()


@torch.no_grad()
def embed(net, x):
    return net(x).embedding


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"name": "resnetse34v2"}, 7_044_684),
        ({"name": "resnetse34v2", "mels": 64}, 8_028_492),
        ({"name": "resnetse34v2", "width": 1}, 24_874_776),
        ({"name": "resnetse34v2", "width": 0.25}, 2_174_502),
    ],
)
def test_parameters_of_the_reference(settings, count):
    assert sum(p.numel() for p in build_speaker(SpeakerSettings(**settings)).parameters()) == count


def test_plain_resnet34_has_torchvisions_body():
    """Without classifier and stem, torchvision's ResNet34 has 21,797,672 - 513,000 - 9,536 parameters."""
    net = network(width=1)
    body = sum(p.numel() for stage in (net.layer1, net.layer2, net.layer3, net.layer4) for p in stage.parameters())
    assert body == 21_797_672 - 513_000 - 9_536


@pytest.mark.parametrize(("width", "first"), [(1, 64), (0.5, 32), (0.25, 16)])
def test_maps_of_the_four_stages(width, first):
    net = network(width=width)
    with torch.no_grad():
        output = net(torch.randn(1, 50, 40), maps=True)
        assert net(torch.randn(1, 50, 40)).maps == []
    shapes = [(first, 40, 50), (2 * first, 20, 25), (4 * first, 10, 13), (8 * first, 5, 7)]
    assert [tuple(m.shape[1:]) for m in output.maps] == shapes


@pytest.mark.parametrize("name", NAMES)
def test_every_network_speaks_output(name):
    net = network(name, embedding=96, mels=24)
    output = net(torch.randn(3, 60, 24), maps=True)
    assert output.embedding.shape == (3, 96) and net.dim == 96 and output.logits is None
    assert all(m.ndim == 4 and m.shape[0] == 3 for m in output.maps)
    output.embedding.sum().backward()
    assert all(p.grad is not None for p in net.parameters())  # no weight that training never reaches


@pytest.mark.parametrize("name", NAMES)
def test_level_and_channel_do_not_matter(name):
    """Gain adds a constant to log-Fbank, a fixed microphone one a band: both must leave the speaker unchanged."""
    net, x = network(name), torch.randn(2, 80, 40)
    torch.testing.assert_close(embed(net, x + 5 * torch.randn(40)), embed(net, x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_embedding_depends_on_its_own_recording_alone(name):
    net, x = network(name), torch.randn(3, 80, 40)
    torch.testing.assert_close(embed(net, x)[:1], embed(net, x[:1]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_recording_gives_the_same_embedding(name):
    net, x = network(name), torch.randn(2, 80, 40)
    assert torch.equal(embed(net, x), embed(net, x))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_bf16_keeps_the_direction(name, channels_last):
    net, x = network(name), torch.randn(4, 100, 40)
    whole = embed(net, x)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        half = embed(net, x)
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(whole, half).min() >= 0.999


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name):
    net, other = network(name), build_speaker(SpeakerSettings(name=name, width=0.25)).eval()
    other.load_state_dict(net.state_dict())
    x = torch.randn(1, 40, 40)
    assert torch.equal(embed(net, x), embed(other, x))


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_one_second_are_finite(name):
    net = network(name)
    assert torch.isfinite(embed(net, torch.full((1, 100, 40), -15.9))).all()


@pytest.mark.parametrize(("name", "shortest"), [("resnet34", 1), ("resnetse34v2", 1), ("xvector", 4), ("ecapa", 5)])
def test_shortest_recording(name, shortest):
    net = network(name)
    assert torch.isfinite(embed(net, torch.randn(1, shortest, 40))).all()
    if shortest > 1:
        with pytest.raises(InputError, match=f"at least {shortest} frames"):
            embed(net, torch.randn(1, shortest - 1, 40))


@pytest.mark.parametrize("pooling", ["mean", "statistics", "sap", "asp", "asp_channel", "asp_context"])
@pytest.mark.parametrize("frequency", ["flatten", "mean"])
def test_poolings_fit_the_resnet(pooling, frequency):
    net = network(pooling=pooling, frequency=frequency, attention=16)
    channels = 128 * (5 if frequency == "flatten" else 1)
    assert net.fc.in_features == channels * (1 if pooling in ("mean", "sap") else 2)
    assert embed(net, torch.randn(2, 40, 40)).shape == (2, 512)


def test_weights_of_voxceleb_trainer_load(tmp_path):
    """A checkpoint of that trainer: the network under __S__, its loss under __L__, its front end's tables."""
    source = network("resnetse34v2")
    state = {f"__S__.{k.removeprefix('pooling.')}": v for k, v in source.state_dict().items()}
    state |= {"__L__.fc.weight": torch.zeros(3, 512), "__S__.torchfb.1.mel_scale.fb": torch.zeros(257, 40)}
    torch.save(state, tmp_path / "model.model")
    settings = {"name": "resnetse34v2", "width": 0.25, "weights": str(tmp_path / "model.model")}
    loaded = build_speaker(SpeakerSettings(**settings)).eval()
    x = torch.randn(1, 50, 40)
    assert torch.equal(embed(loaded, x), embed(source, x))


def test_weights_of_another_width_are_refused(tmp_path):
    torch.save(network("resnetse34v2").state_dict(), tmp_path / "quarter.pt")
    with pytest.raises(
        InputError, match=r"of another shape \(conv1.weight is 16x1x3x3 in the file and 32x1x3x3 in the"
    ):
        build_speaker(SpeakerSettings(name="resnetse34v2", weights=tmp_path / "quarter.pt"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 1}, "did you mean 'width'"),
        ({"width": 0}, "greater than 0"),
        ({"name": "resnet"}, "did you mean 'resnet"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(InputError, match=message):
        parse(SpeakerSettings, values, "conf.yaml")


@pytest.mark.slow
def test_compiled_network_gives_the_same():
    net, x = network(), torch.randn(2, 100, 40)
    compiled = torch.compile(net, dynamic=False)
    torch.testing.assert_close(embed(compiled, x), embed(net, x), rtol=1e-3, atol=1e-4)
