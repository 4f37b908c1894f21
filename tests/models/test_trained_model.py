"""A trained model on disk: complete, checked, and the same after a round trip."""

import json

import pytest
import torch

from speakerkd.distill.projection import ProjectionHead, ProjectionSettings
from speakerkd.errors import InputError
from speakerkd.models.disentangled import build_disentangled
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.image import ImageSettings, build_image
from speakerkd.models.precision import inference_dtype
from speakerkd.models.speaker import SpeakerSettings, build_speaker
from speakerkd.models.trained_model import load_trained_model, read_description, save_trained_model, unwrapped

SETTINGS = SpeakerSettings(width=0.25, embedding=32)
TEACHER = {"name": "mobilefacenet", "dim": 128, "weights": "068.ckpt", "digest": "0123456789abcdef"}
FRONTEND = {"mels": 40, "rate": 16000}


@pytest.fixture
def trained(tmp_path):
    """A student with moved BatchNorm statistics and its head, saved."""
    torch.manual_seed(0)
    student = build_speaker(SETTINGS)
    head = ProjectionHead(128, 32, ProjectionSettings(alpha=0.3, hidden=20, batch_norm=True))
    student(torch.randn(8, 50, 40))
    head(torch.randn(8, 128))
    save_trained_model(
        tmp_path / "exp",
        task="speaker",
        student=student,
        settings=SETTINGS,
        frontend=FRONTEND,
        head=head,
        teacher=TEACHER,
        labels=["id00012", "Ångström"],
    )
    return tmp_path / "exp", student.eval(), head.eval()


def test_round_trip(trained):
    directory, student, head = trained
    package = load_trained_model(directory, dtype=torch.float32)
    assert (package.task, package.dim, package.settings) == ("speaker", 32, SETTINGS)
    assert package.frontend == FRONTEND and package.teacher.name == "mobilefacenet"
    assert package.labels == ["id00012", "Ångström"]
    x, faces = torch.randn(3, 60, 40), torch.randn(3, 128)
    with torch.no_grad():
        torch.testing.assert_close(package.embed(x), torch.nn.functional.normalize(student(x).embedding))
        torch.testing.assert_close(package.project(faces), torch.nn.functional.normalize(head(faces)))


def test_embeddings_have_length_one_and_keep_their_direction(trained):
    package = load_trained_model(trained[0], dtype=torch.float32)
    x = torch.randn(4, 100, 40)
    exact = package.embed(x)
    fast = package.to("cpu", torch.bfloat16).embed(x)
    for embedding in (exact, fast):
        assert embedding.dtype == torch.float32
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
    assert (exact * fast).sum(1).min() >= 0.999


def test_default_precision_is_the_machines(trained):
    assert load_trained_model(trained[0]).dtype == inference_dtype("cpu")


def test_two_files_and_no_third(trained):
    assert sorted(p.name for p in trained[0].iterdir()) == ["model.json", "model.safetensors"]


def test_without_head_the_teacher_is_compared_as_it_is(tmp_path):
    student = build_speaker(SETTINGS)
    save_trained_model(
        tmp_path, task="speaker", student=student, settings=SETTINGS, teacher={"name": "ir50", "dim": 32}
    )
    package = load_trained_model(tmp_path)
    faces = torch.tensor([[3.0, 4.0] + [0.0] * 30])
    torch.testing.assert_close(package.project(faces), faces / 5)
    with pytest.raises(InputError, match="teacher embeddings of size 128, the model compares with 32"):
        package.project(torch.ones(1, 128))


def test_untaught_model_cannot_compare_with_another_size(tmp_path):
    save_trained_model(tmp_path, task="speaker", student=build_speaker(SETTINGS), settings=SETTINGS)
    with pytest.raises(InputError, match="size 128"):
        load_trained_model(tmp_path).project(torch.ones(1, 128))


def test_other_teacher_is_refused(trained):
    with pytest.raises(InputError, match="embeddings of size 512, the model compares with 128"):
        load_trained_model(trained[0]).project(torch.ones(1, 512))


def test_face_model_takes_pictures(tmp_path):
    settings = FaceSettings(name="resnet18", width=0.125, embedding=16)
    save_trained_model(tmp_path, task="face", student=build_face(settings), settings=settings)
    package = load_trained_model(tmp_path)
    crops = torch.randint(0, 256, (2, 112, 112, 3), dtype=torch.uint8)
    assert package.embed(crops).shape == (2, 16)


def test_image_model_gives_logits(tmp_path):
    settings = ImageSettings(name="resnet8", classes=4)
    save_trained_model(tmp_path, task="image", student=build_image(settings), settings=settings, labels=list("abcd"))
    assert load_trained_model(tmp_path).outputs(torch.randn(2, 3, 32, 32)).logits.shape == (2, 4)


def test_disentangled_model_round_trip(tmp_path):
    branch = build_disentangled(SETTINGS, build_speaker, 5).eval()
    save_trained_model(tmp_path, task="speaker", student=branch, settings=SETTINGS)
    package = load_trained_model(tmp_path, dtype=torch.float32)
    x = torch.randn(2, 50, 40)
    branch = branch.to(memory_format=torch.channels_last)  # a package's, whose sums are in another order
    with torch.no_grad():
        torch.testing.assert_close(package.outputs(x).logits, branch(x).logits, rtol=0, atol=0)


def test_wrappers_are_not_saved(trained):
    assert unwrapped(torch.nn.DataParallel(trained[1])) is trained[1]


@pytest.mark.slow
def test_compiled_package_gives_the_same(trained):
    """Saved from under the compiler, and run by it."""
    assert unwrapped(torch.compile(trained[1])) is trained[1]
    package = load_trained_model(trained[0])
    x = torch.randn(4, 100, 40)
    plain = package.embed(x)
    assert (package.compile().embed(x) * plain).sum(1).min() >= 0.999


def test_starting_weights_are_no_part_of_a_model(tmp_path):
    """The folder must load on a machine that lacks the file training began with."""
    torch.save(build_speaker(SETTINGS).state_dict(), tmp_path / "start.pt")
    settings = SETTINGS.model_copy(update={"weights": tmp_path / "start.pt"})
    save_trained_model(tmp_path / "exp", task="speaker", student=build_speaker(settings), settings=settings)
    (tmp_path / "start.pt").unlink()
    load_trained_model(tmp_path / "exp")
    assert "start.pt" not in (tmp_path / "exp/model.json").read_text()


def edit(directory, **values):
    path = directory / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 99}, "update speakerkd"),
        ({"task": "smell"}, "unknown task 'smell'"),
        ({"student": {"name": "resnet34", "width": 0.5, "embedding": 32}}, "of another shape"),
        ({"student": {"widht": 0.25}}, "did you mean 'width'"),
        ({"projection": None}, r"unexpected \(head."),
        ({"teacher": None}, "a projection head without a teacher"),
        ({"weights": "0" * 16}, "not the file that model.json describes"),
        ({"extra": 1}, "unknown setting 'extra'"),
    ],
)
def test_description_that_does_not_fit(trained, values, message):
    edit(trained[0], **values)
    with pytest.raises(InputError, match=message):
        load_trained_model(trained[0])


def test_folders_without_a_whole_model(trained, tmp_path):
    with pytest.raises(InputError, match="no trained model here"):
        load_trained_model(tmp_path / "nowhere")
    directory = trained[0]
    weights = directory / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1000])
    with pytest.raises(InputError, match="damaged"):
        load_trained_model(directory)
    weights.unlink()
    with pytest.raises(InputError, match="no such weights file"):
        load_trained_model(directory)
    (directory / "model.json").write_text('{"format": 1, "ver')
    with pytest.raises(InputError, match="not valid JSON.*train the model again"):
        read_description(directory)


def test_interrupted_save_keeps_the_old_model(trained, monkeypatch):
    directory, student, _ = trained

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(InputError, match="no space left on device.*model.safetensors"):
        save_trained_model(directory, task="speaker", student=student, settings=SETTINGS)
    assert load_trained_model(directory).teacher.dim == 128
