"""A speech network teaches, cached or along; several teachers teach at once, each the samples that it knows."""

import json

import numpy as np
import pytest
import torch
from feature_corpus import MELS, make_corpus, small

import speakerkd
from speakerkd.data.datadir import write_table
from speakerkd.data.vectors import write_vectors
from speakerkd.distill import build, parse_specs
from speakerkd.distill.objective import Pair
from speakerkd.distill.several import View
from speakerkd.errors import InputError
from speakerkd.evaluation.speech_teacher import embed_speech_teacher
from speakerkd.frontend.fbank_settings import FbankSettings
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import load_trained_model, save_trained_model
from speakerkd.tensors import Output, Samples
from speakerkd.training.build import build_parts
from speakerkd.training.experiment import check_experiment
from speakerkd.training.loop import train


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A corpus with a face teacher's embeddings of two thirds, and a larger speech network's of all."""
    torch.manual_seed(0)
    base = tmp_path_factory.mktemp("taught")
    corpus = make_corpus(base / "train", teacher=0.66)
    settings = SpeakerSettings(width=0.05, mels=MELS, embedding=12)
    frontend = FbankSettings(mels=MELS)
    save_trained_model(
        base / "large", task="speaker", student=build_speaker(settings).eval(), settings=settings, frontend=frontend
    )
    (corpus / "feats.json").write_text(json.dumps(frontend.model_dump()))
    embed_speech_teacher(corpus, str(base / "large"), name="speech")
    return corpus, base / "large"


def experiment(corpus, **changes):
    return check_experiment(small(corpus, **changes), "test")


BOTH = {
    "teachers": {"face": {"archive": "teacher.scp"}, "speech": {}},
    "distill": [{"name": "margin", "teacher": "face"}, {"name": "fitnet", "teacher": "speech"}],
}


def test_a_speech_network_is_cached_as_it_embeds_whole_recordings(taught):
    from speakerkd.data.archive import FeatureArchive
    from speakerkd.data.vectors import read_shared_vectors

    corpus, large = taught
    keys, vectors, row = read_shared_vectors(corpus / "teacher.speech.scp")
    archive = FeatureArchive(corpus / "feats.scp")
    assert list(keys) == archive.keys
    model = load_trained_model(large)  # in bf16 where the processor has it, as the cache is made
    features = archive.whole(0)
    features = features if len(features) >= 100 else features[np.arange(100) % len(features)]
    expected = model.outputs(torch.from_numpy(features)[None]).embedding[0].numpy()
    np.testing.assert_allclose(vectors[row[0]], expected, rtol=1e-3, atol=1e-5)
    record = json.loads((corpus / "teacher.speech.json").read_text())
    assert record["name"] == "resnet34" and record["dim"] == 12 and record["weights"] == str(large)


def test_two_teachers_teach_each_their_own_samples(taught, tmp_path):
    corpus, _ = taught
    train(experiment(corpus, **BOTH), tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    last = [row["terms"] for row in rows if "terms" in row][-1]
    assert np.isfinite(last["margin"]) and last["fitnet"] > 0
    described = json.loads((tmp_path / "run/model.json").read_text())
    assert described["teacher"]["name"] == "ir50" and described["teacher"]["dim"] == 8  # the face's head is published
    assert load_trained_model(tmp_path / "run").project(torch.randn(2, 8)).shape == (2, 8)


def test_what_speech_alone_taught_is_not_matched_with_faces_by_its_own_cosines(taught, tmp_path):
    from speakerkd.evaluation.match_directory import match_directory
    from speakerkd.evaluation.match_test_set import _teacher_archive

    corpus, _ = taught
    speech = {"teachers": {"speech": {}}, "distill": [{"name": "fitnet", "teacher": "speech"}]}
    train(experiment(corpus, **speech), tmp_path / "run")
    model = load_trained_model(tmp_path / "run", dtype=torch.float32)
    assert model.teacher.kind == "speech"
    with pytest.raises(InputError, match="no face taught this model"):
        match_directory(corpus, model)
    assert _teacher_archive(corpus, model).name == "teacher.scp"  # the faces', from which --fit learns
    with pytest.raises(InputError, match="no face teacher"):
        speakerkd.load(tmp_path / "run", "cpu").check_faces()


def test_an_objective_sees_its_own_teacher_alone():
    """By hand: fitnet's mean squared distance over the two rows of which the second teacher is not zero."""
    views = {"a": View(slice(0, 2)), "b": View(slice(2, 5))}
    spec = parse_specs([{"name": "fitnet", "teacher": "b"}])
    pair = Pair(student_dim=3, teacher_dim=5, classes=2, samples=3, batch=3)
    objectives = build(spec, pair, None, views)
    student = Output(torch.randn(3, 3))
    teacher = Output(torch.cat([torch.randn(3, 2), torch.tensor([[1.0, 2, 3], [0, 0, 0], [4, 5, 6]])], 1))
    samples = Samples(torch.tensor([0, 1, 0]), torch.arange(3))
    joint = objectives(student, teacher, samples)
    alone = build(parse_specs([{"name": "fitnet"}]), Pair(3, 3, 2, 3, 3))
    alone.load_state_dict({k.replace(".inner", ""): v for k, v in objectives.state_dict().items()})
    rows = torch.tensor([0, 2])
    kept = Output(teacher.embedding[rows, 2:])
    expected = alone(student.rows(rows), kept, Samples(samples.label[rows], samples.index[rows]))
    assert joint["fitnet"].item() == pytest.approx(expected["fitnet"].item())
    nobody = Output(torch.zeros(3, 5))
    assert objectives(student, nobody, samples)["fitnet"].item() == 0


def test_a_teacher_that_runs_along_hears_the_students_crop(taught):
    corpus, large = taught
    changes = {"teacher": {"online": True, "name": str(large)}, "distill": [{"name": "fitnet", "hook": "embedding"}]}
    parts = build_parts(experiment(corpus, **changes))
    draws = np.random.default_rng(0).random((4, parts.source.draws))
    index = np.arange(4)
    assert torch.equal(parts.source.teacher(index, draws), parts.source.student(index, draws))
    assert parts.teacher.same_input and parts.teacher.dim == 12
    (corpus / "feats.json").write_text(json.dumps(FbankSettings(mels=MELS, low=60).model_dump()))
    try:
        with pytest.raises(InputError, match="reads low 20"):
            build_parts(experiment(corpus, **changes))
    finally:
        (corpus / "feats.json").write_text(json.dumps(FbankSettings(mels=MELS).model_dump()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teachers": ["speech", "speech"]}, "two teachers of one name 'speech'"),
        ({"teachers": ["face", "speech"], "distill": [{"name": "margin"}]}, "does not say which teacher"),
        ({"teachers": ["face", "speech"], "distill": [{"name": "margin", "teacher": "spech"}]}, "mean 'speech'"),
        ({"distill": [{"name": "margin", "teacher": "face"}]}, "there is one alone"),
        (
            {"teachers": {"speech": {}}, "distill": [{"name": "dkd", "teacher": "speech", "warm_up": 0}]},
            "without class scores",
        ),
        (
            {"teachers": {"speech": {}}, "distill": [{"name": "at", "teacher": "speech"}]},
            "cached as embeddings|positions",
        ),
    ],
)
def test_teachers_that_cannot_work_are_refused(taught, changes, words):
    corpus, _ = taught
    write_vectors(corpus, "teacher.face", ["id000/video0/00000"], np.ones((1, 4), np.float32), {})
    with pytest.raises(InputError, match=words):
        build_parts(experiment(corpus, **changes))


def test_another_teachers_embeddings_are_not_overwritten(taught, tmp_path):
    corpus, large = taught
    torch.manual_seed(1)
    settings = SpeakerSettings(width=0.05, mels=MELS, embedding=12)
    other = tmp_path / "other"
    save_trained_model(
        other,
        task="speaker",
        student=build_speaker(settings).eval(),
        settings=settings,
        frontend=FbankSettings(mels=MELS),
    )
    with pytest.raises(InputError, match="another teacher"):
        embed_speech_teacher(corpus, str(other), name="speech")


def test_a_self_supervised_network_teaches_from_a_folder(tmp_path, corpus):
    """A tiny WavLM: the mean over time of its last layer, as transformers gives it."""
    transformers = pytest.importorskip("transformers")
    from speakerkd.data.vectors import read_shared_vectors
    from speakerkd.frontend.audio import read_audio

    config = transformers.WavLMConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(20, 16),
        conv_kernel=(20, 16),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_buckets=8,
    )
    network = transformers.WavLMModel(config).eval()
    network.save_pretrained(tmp_path / "wavlm", safe_serialization=True)
    data = tmp_path / "data"
    data.mkdir()
    paths = {key: str(corpus.root / f"{key}.wav") for key in corpus.keys[:2]}
    write_table(data / "wav.scp", paths)
    embed_speech_teacher(data, str(tmp_path / "wavlm"), name="wavlm")
    keys, vectors, row = read_shared_vectors(data / "teacher.wavlm.scp")
    with torch.no_grad():
        hidden = network(torch.from_numpy(read_audio(paths[keys[0]]))[None]).last_hidden_state
    np.testing.assert_allclose(vectors[row[0]], hidden.mean(1)[0].numpy(), rtol=1e-3, atol=1e-5)
