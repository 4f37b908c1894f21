"""Published networks as ours: the same embedding of the same recording as the code that they come from.

The golden embeddings were computed by that code, with weights and a sound that `published_weights` makes again:
wespeaker dfa7419, voxceleb_trainer f51bab8, ReDimNet c994fce. speechbrain is installed and runs beside ours.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from feature_corpus import make_corpus
from published_weights import filled, voice

from speakerkd.config import parse
from speakerkd.errors import InputError
from speakerkd.frontend.fbank import fbank
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.published.convert import convert
from speakerkd.models.sizes import size_of
from speakerkd.models.speaker import SpeakerSettings
from speakerkd.models.trained_model import load_trained_model
from speakerkd.training.build import build_parts
from speakerkd.training.experiment import read_experiment

GOLDEN = Path(__file__).parent / "published"
SLOW = {"wespeaker_resnet152", "wespeaker_resnet221", "wespeaker_resnet293", "wespeaker_redimnet_b3"}
CASES = [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] * (p.stem in SLOW)) for p in sorted(GOLDEN.glob("*.npz"))]


def cosine(a, b):
    a, b = np.ravel(a).astype(float), np.ravel(b).astype(float)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def embed(directory, wave):
    """The embedding of a wave by an imported model, through its own front end, before it is normalised."""
    model = load_trained_model(directory, dtype=torch.float32)
    features = fbank(torch.from_numpy(wave)[None], FbankSettings(**model.frontend))
    return model.outputs(features).embedding[0].numpy()


def checkpoint(golden, folder, **changed):
    """The file and the config that its project would give out."""
    layout = json.loads(str(golden["layout"]))
    state = {k: torch.from_numpy(filled(k.removeprefix("__S__."), tuple(s), i)) for k, s, i in layout}
    state |= changed
    config, project = json.loads(str(golden["config"])), str(golden["project"])
    path = folder / "model.pt"
    if project == "redimnet":
        torch.save({"model_config": config, "state_dict": state}, path)
        return path, None
    torch.save(state, path)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return path, folder / "config.yaml"


@pytest.mark.parametrize("path", CASES)
def test_embeds_as_the_original_code_does(path, tmp_path):
    golden = np.load(path)
    weights, config = checkpoint(golden, tmp_path)
    converted = convert(str(golden["project"]), weights, tmp_path / "exp", config=config)
    ours = embed(converted.directory, voice())
    assert cosine(ours, golden["embedding"]) > 0.99999
    np.testing.assert_allclose(ours, golden["embedding"], atol=2e-3 * np.abs(golden["embedding"]).max())
    # the weights are not such that every recording looks alike
    other = embed(converted.directory, voice()[:20000][::-1].copy())
    assert np.abs(other - golden["embedding"]).max() > 1e-2 * np.abs(golden["embedding"]).max()


def speechbrain_folder(folder, kind):
    """A model as speechbrain publishes one: its weights and hyperparams.yaml; and its own network and features."""
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.lobes.models.Xvector import Xvector

    if kind == "ecapa":
        network = ECAPA_TDNN(80, channels=[64, 64, 64, 64, 192], attention_channels=16, lin_neurons=48)
        described = (
            "embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n"
            "    input_size: !ref <n_mels>\n    channels: [64, 64, 64, 64, 192]\n    kernel_sizes: [5, 3, 3, 3, 1]\n"
            "    dilations: [1, 2, 3, 4, 1]\n    attention_channels: 16\n    lin_neurons: 48\n"
        )
        mels = 80
    else:
        network, mels = Xvector(in_channels=24, tdnn_channels=[64, 64, 64, 64, 188], lin_neurons=40), 24
        described = (
            "embedding_model: !new:speechbrain.lobes.models.Xvector.Xvector\n    in_channels: !ref <n_mels>\n"
            "    activation: !name:torch.nn.LeakyReLU\n    tdnn_blocks: 5\n    tdnn_kernel_sizes: [5, 3, 3, 1, 1]\n"
        )
    state = network.state_dict()
    network.load_state_dict({k: torch.from_numpy(filled(k, tuple(v.shape), v.ndim == 0)) for k, v in state.items()})
    torch.save(network.state_dict(), folder / "embedding_model.ckpt")
    (folder / "hyperparams.yaml").write_text(
        f"n_mels: {mels}\ncompute_features: !new:speechbrain.lobes.features.Fbank\n    n_mels: !ref <n_mels>\n"
        "mean_var_norm: !new:speechbrain.processing.features.InputNormalization\n"
        "    norm_type: sentence\n    std_norm: False\n" + described
    )
    return network.eval(), Fbank(n_mels=mels)


@pytest.mark.parametrize("kind", ["ecapa", "xvector"])
def test_embeds_as_speechbrain_does(kind, tmp_path):
    network, features = speechbrain_folder(tmp_path, kind)
    converted = convert("speechbrain", tmp_path, tmp_path / "exp")
    with torch.no_grad():
        bands = features(torch.from_numpy(voice())[None])
        theirs = network(bands - bands.mean(1, keepdim=True)).ravel().numpy()
    ours = embed(converted.directory, voice())
    assert cosine(ours, theirs) > 0.9999  # speechbrain adds noise to the mean of an x-vector
    np.testing.assert_allclose(ours, theirs, atol=5e-3 * np.abs(theirs).max())


def golden(name):
    return np.load(GOLDEN / f"{name}.npz")


def test_an_import_says_how_it_is_scored_and_where_it_is_from(tmp_path):
    weights, config = checkpoint(golden("voxceleb_trainer_l"), tmp_path)
    convert("voxceleb_trainer", weights, tmp_path / "exp", config=config)
    assert load_trained_model(tmp_path / "exp").protocol == "crops"
    described = json.loads((tmp_path / "exp/model.json").read_text())
    assert described["origin"]["project"] == "voxceleb_trainer" and described["origin"]["file"] == "model.pt"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("wespeaker_resnet34", {"config": {"model": "ResNet43"}}, "ResNet43"),
        ("wespeaker_resnet34", {"config": {"model": "ResNet152"}}, "missing"),
        ("wespeaker_resnet34", {"args": {"heads": 4}}, "1 of 5 keys of 'model_args'"),
        ("wespeaker_resnet34", {"args": {"feat_dim": 40}}, "40"),
        ("wespeaker_resnet34", {"state": {"layer9.conv.weight": torch.zeros(1)}}, "1 unexpected"),
        ("wespeaker_resnet34", {"state": {"encoder.w": torch.zeros(1)}}, "1 of 219 keys are unknown"),
        ("wespeaker_resnet34", {"state": {"conv1.weight": torch.zeros(32, 1, 5, 5)}}, "1 of another shape"),
        ("wespeaker_resnet34", {"state": {"bn1.bias": torch.full((32,), torch.nan)}}, "not finite"),
        ("voxceleb_trainer_v2", {"config": {"log_input": False}}, "log_input"),
        ("voxceleb_trainer_v2", {"config": {"n_mels": 40}}, "40"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_whole(name, change, words, tmp_path):
    example = golden(name)
    weights, config = checkpoint(example, tmp_path, **change.get("state", {}))
    values = yaml.safe_load(config.read_text()) | change.get("config", {})
    if "args" in change:
        values["model_args"] |= change["args"]
    config.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=words):
        convert(str(example["project"]), weights, tmp_path / "exp", config=config)
    assert not (tmp_path / "exp").exists()


def test_a_wrong_project_is_refused(tmp_path):
    weights, _ = checkpoint(golden("voxceleb_trainer_l"), tmp_path)
    with pytest.raises(InputError, match="fc.conv.weight|blocks.0"):
        convert("speechbrain", weights, tmp_path / "exp")
    with pytest.raises(InputError, match="did you mean 'wespeaker'"):
        convert("wespeakr", weights, tmp_path / "exp")


def test_a_model_is_never_written_over(tmp_path):
    weights, _ = checkpoint(golden("redimnet_fc"), tmp_path)
    convert("redimnet", weights, tmp_path / "exp")
    with pytest.raises(InputError, match="already"):
        convert("redimnet", weights, tmp_path / "exp")


def test_constructors_of_a_config_are_not_run(tmp_path):
    speechbrain_folder(tmp_path, "ecapa")
    text = (tmp_path / "hyperparams.yaml").read_text()
    bad = f"evil: !apply:pathlib.Path.touch [!new:pathlib.Path ['{tmp_path}/made']]\n"
    (tmp_path / "hyperparams.yaml").write_text(text + bad)
    convert("speechbrain", tmp_path, tmp_path / "exp")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "mels", "embedding", "millions"),
    [
        ("resnet221", 80, 256, 23.8),  # wespeaker's tables
        ("resnet293", 80, 256, 28.6),
        ("campplus", 80, 512, 7.18),
        ("redimnet_b0", 60, 192, 1.0),  # the comments in wespeaker's redimnet.py
        ("redimnet_b6", 72, 192, 15.0),
        ("resnetse34l", 40, 512, 1.437),
    ],
)
def test_networks_are_as_large_as_published(name, mels, embedding, millions):
    size = size_of(SpeakerSettings(name=name, mels=mels, embedding=embedding))
    assert size.parameters / 1e6 == pytest.approx(millions, rel=6e-3)
    assert size.operations > 1e8


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "redimnet_b2", "mels": 40}, "reads 72 bands"),
        ({"name": "redimnet_b2", "mels": 72, "width": 0.5}, "no width"),
        ({"name": "redimnet"}, "needs it"),
        ({"name": "resnet35"}, "name"),
    ],
)
def test_a_size_that_a_network_has_not_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        parse(SpeakerSettings, values, "student")


def test_an_imported_network_is_fine_tuned_on_new_speakers(tmp_path, caplog):
    """From the printed layer: its weights start the student, its front end is checked, its classes are replaced."""
    weights, _ = checkpoint(golden("redimnet_fc"), tmp_path)
    converted = convert("redimnet", weights, tmp_path / "exp")
    frontend = json.loads((tmp_path / "exp/model.json").read_text())["frontend"]
    corpus = make_corpus(tmp_path / "data", mels=72)
    (corpus / "feats.json").write_text(json.dumps(frontend))
    plain = {"data": {"train": str(corpus), "crop_frames": 20}, "loss": {"name": "softmax"}}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain | {"train": {"speakers": 2, "utterances": 2}}))
    experiment = read_experiment(tmp_path / "plain.yaml", over=[converted.directory / "finetune.yaml"])
    parts = build_parts(experiment)
    mine = parts.student.state_dict()["fc.weight"]
    assert torch.equal(mine, torch.from_numpy(filled("linear.weight", tuple(mine.shape))))
    assert "start afresh" in caplog.text

    (corpus / "feats.json").write_text(json.dumps(frontend | {"low": 60.0}))
    with pytest.raises(InputError, match=r"low 20.*--like"):
        build_parts(experiment)
    (corpus / "feats.json").write_text(json.dumps(frontend))
    experiment.student.cmvn = "mean_variance"
    with pytest.raises(InputError, match=r"1 of its settings differ \(cmvn"):
        build_parts(experiment)
