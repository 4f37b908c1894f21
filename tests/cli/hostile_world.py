"""A folder with one small file of every kind that a verb reads, made by the verbs themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml
from onnx_recogniser import write as write_recogniser
from PIL import Image
from skimage.data import lfw_subset

from speakerkd.cli.main import run
from speakerkd.models.face import FaceSettings, build_face
from speakerkd.models.trained_model import save_trained_model

PATTERN = "(?P<speaker>[^/]+)/(?P<session>[^/]+)/(?P<utterance>[^/]+)$"
SPEECH = {
    "task": "speaker",
    "seed": 1,
    "data": {"train": "data/train", "crop_frames": 30},
    "student": {"name": "xvector", "width": 0.02, "mels": 8, "embedding": 8},
    "loss": {"name": "softmax_prototypical"},
    "teacher": {"archive": "teacher.scp"},
    "distill": [{"name": "margin"}],
    "train": {
        "epochs": 2, "steps_per_epoch": 1, "speakers": 2, "utterances": 2, "compile": False, "precision": "fp32",
        "evaluate_every": 0, "checkpoint_every": 1, "log_every": 1,
    },
}  # fmt: skip
PICTURES = {
    "task": "image",
    "data": {"train": "data/img", "dev": None, "view": {"size": 16, "crop": "padded", "test_crop": 1, "flip": False}},
    "student": {"name": "resnet8"},
    "loss": {"name": "softmax"},
    "optim": {"name": "sgd", "lr": 0.1, "nesterov": False},
    "train": {"epochs": 1, "batch": 4, "compile": False, "precision": "fp32", "evaluate_every": 0},
}


def verb(*words: object) -> int:
    """Exit status of a command, run in this process."""
    try:
        run([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def done(*words: object) -> None:
    status = verb(*words)
    assert status == 0, words


def _tone(person: int, number: int, seconds: float = 0.8) -> np.ndarray:
    rng = np.random.default_rng(100 * person + number)
    t = np.arange(int(16000 * seconds)) / 16000
    wave = sum(np.sin(2 * np.pi * (90 + 30 * person) * k * t + k) / k for k in range(1, 9))
    return (0.1 * wave + 0.01 * rng.normal(size=len(t))).astype(np.float32)


def _sound(path: Path, person: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, _tone(person, number), 16000)


def _picture(path: Path, number: int, side: int = 112) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (7, 7, 3), np.uint8)
    Image.fromarray(pixels).resize((side, side)).save(path)


def _config(name: str, values: dict) -> None:
    Path(name).write_text(yaml.safe_dump(values))


def build() -> None:
    """Make everything in the working directory."""
    endings = ("wav", "flac", "mp3", "ogg")
    for person in range(4):
        for number in range(4):
            session = f"p{person}/s{number // 2}"
            _sound(Path(f"rec/{session}/{number % 2}.{endings[number]}"), person, number)
            _picture(Path(f"pics/{session}/f.{('png', 'jpg', 'webp', 'bmp')[person]}"), 10 * person + number // 2)
    done("prepare", "folder", "data", "--audio-root", "rec", "--image-root", "pics", "--pattern", PATTERN, "--jobs", 1)
    done("fbank", "data/train", "--mels", 8, "--jobs", 1)
    done("faces", "data/train", "--no-detect", "--jobs", 1)
    torch.manual_seed(0)
    settings = FaceSettings(name="resnet18", width=0.03, embedding=12)
    save_trained_model(Path("exp/face"), task="face", student=build_face(settings).eval(), settings=settings)
    done("embed-teacher", "data/train", "--teacher", "exp/face", "--classifier")
    done("prepare", "trials", "data/train", "--count", "all")
    _config("speech.yaml", SPEECH)
    done("train", "speech.yaml", "--exp", "exp/voice")
    done("embed", "data/train", "--model", "exp/voice", "--out", "v.npz")
    done("embed", "data/train", "--model", "exp/voice", "--out", "v.scp")
    done(
        "score",
        "--trials",
        "data/train/trials_original",
        "--embeddings",
        "v.npz",
        "--out",
        "exp/voice",
        "--bootstrap",
        0,
    )
    done("match-test", "data/train", "--model", "exp/voice", "--triples", 20, "--bootstrap", 0)
    shutil.copytree("exp/voice", "exp/base")
    shutil.copytree("exp/voice", "exp/half")  # a run that was killed in its last step
    for path in [Path("exp/half") / n for n in ("model.safetensors", "model.json", "finished.json", "results.json")]:
        path.unlink()
    steps = sorted(Path("exp/half/checkpoints").iterdir())
    shutil.rmtree(steps[-1])
    done("enroll", "team.db", "--model", "exp/voice", "--name", "Ann", "--audios", "rec/p0/s0/0.wav")
    for label in "ab":
        for number in range(6):
            _picture(Path(f"img/{label}/{number}.png"), number, 16)
    done("prepare", "images", "data/img", "--root", "img", "--size", 16)
    done("embed-text", "data/img", "--teacher", "ngrams")
    _config("image.yaml", PICTURES)
    done("train", "image.yaml", "--exp", "exp/image")
    done("classify", "exp/image")
    _corpora()
    _others()


def _others() -> None:
    """What verbs take beside the data directories and experiments."""
    done("embed", "data/train", "--model", "exp/voice", "--protocol", "mean", "--out", "mean.npz")
    shutil.copy("mean.npz", "cohort.npz")
    shutil.copytree("exp/voice", "exp/cal")
    fitted = {"offset": 1.0, "scores": [2.0], "development": "d", "digest": "0", "trials": 9, "prior": 0.5}
    Path("exp/cal/calibration.json").write_text(json.dumps(fitted | {"protocol": "crops"}))
    shutil.copy("data/img/teacher.npz", "table.npz")
    Path("people").write_text("p0\np1\n")
    Path("data/train/spk2gender").write_text("p0 m\np1 f\np2 m\np3 f\n")
    torch.save({"conv1.weight": torch.zeros(3, 3)}, "foreign.pth")
    write_recogniser(Path("recogniser.onnx"))
    face = (lfw_subset()[0] * 255).astype(np.uint8)
    canvas = Image.new("L", (160, 160), 127)
    canvas.paste(Image.fromarray(face).resize((100, 100), Image.Resampling.BICUBIC), (30, 30))
    canvas.convert("RGB").save("face.png")


def _corpora() -> None:
    """The corpora's own layouts, as small as they can be."""
    names = [f"id1000{person}/video/0000{number}" for person in range(2) for number in range(2)]
    for position, name in enumerate(names):
        _sound(Path(f"vox1/wav/{name}.wav"), position // 2, position)
    pairs = [(a, b) for a in names for b in names if a < b]
    lines = [f"{int(a[:7] == b[:7])} {a}.wav {b}.wav\n" for a, b in pairs]
    Path("vox1/veri_test.txt").write_text("".join(lines))
    meta = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    Path("vox1/vox1_meta.csv").write_text(meta + "id10000\ta\tm\tUK\ttest\nid10001\tb\tf\tUK\ttest\n")
    for person in ("id00000", "id00001"):
        _sound(Path(f"cn1/eval/enroll/{person}-enroll.flac"), int(person[-1]), 0)
        _sound(Path(f"cn1/eval/test/{person}-speech-01-001.flac"), int(person[-1]), 1)
        _sound(Path(f"cn1/data/{person}/speech-01-001.flac"), int(person[-1]), 2)
    Path("cn1/dev").mkdir()
    Path("cn1/dev/dev.lst").write_text("id00000\nid00001\n")
    lists = Path("cn1/eval/lists")
    lists.mkdir()
    people = ("id00000", "id00001")
    trials = [f"{a}-enroll test/{b}-speech-01-001.wav {int(a == b)}\n" for a in people for b in people]
    (lists / "trials.lst").write_text("".join(trials))
    (lists / "enroll.lst").write_text("".join(f"{p}-enroll enroll/{p}-enroll.wav\n" for p in people))
    (lists / "enroll.map").write_text("".join(f"{p} {p}/speech-01-001.wav\n" for p in people))
    for part in ("English_train", "English_test", "German_test"):
        rows = []
        for number in range(2):
            voice, face = f"voices/{part}/id{number}/{number}.wav", f"faces/{part}/id{number}/{number}.png"
            _sound(Path("mav") / voice, number, number)
            _picture(Path("mav") / face, number)
            rows.append(f"k{number} {voice} {face}\n")
        Path(f"mav/{part}.txt").write_text("".join(rows))
    for number, kind in enumerate(("noise/free-sound", "music/fma", "speech/librivox")):
        _sound(Path(f"musan/{kind}/a-{number}.wav"), number, number)
