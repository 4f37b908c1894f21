"""Small trees in the exact layouts of VoxCeleb, CN-Celeb and MAV-Celeb, made of the mini corpus."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image

from speakerkd.frontend.audio import read_audio
from speakerkd.frontend.faces import seen_face
from speakerkd.models.face import FaceSettings, build_face


def voxceleb(mini: Path, root: Path, people: int) -> None:
    """`vox1`, `vox2`, `musan`, `lists` below root: VoxCeleb1 split into its two archives' folders, lists elsewhere.

    people: so many of the mini corpus's development people, and of its test people.
    """
    for part in ("dev", "test"):
        for kind in ("aac", "mp4"):
            source = mini / "vox2" / part / kind
            for person in sorted(path.name for path in source.iterdir())[:people]:
                shutil.copytree(source / person, root / "vox2" / part / kind / person)
    kept = sorted(path.name for path in (mini / "vox1/wav").iterdir())[:people]
    for number, person in enumerate(kept):
        home = "vox1_test_wav/wav" if number % 2 else "vox1_dev_wav/wav"
        shutil.copytree(mini / "vox1/wav" / person, root / "vox1" / home / person)
    (root / "lists").mkdir()
    for name in ("vox1/veri_test.txt", "vox1/list_test_hard.txt"):
        lines = (mini / name).read_text().splitlines(keepends=True)
        of_kept = [line for line in lines if all(word.split("/")[0] in kept for word in line.split()[1:])]
        (root / "lists" / Path(name).name).write_text("".join(of_kept))
    for name in ("vox1/vox1_meta.csv", "vox2/vox2_meta.csv"):
        shutil.copy(mini / name, root / "lists")
    shutil.copytree(mini / "musan", root / "musan")


def ir50(path: Path) -> None:
    """Untrained weights of IR-50 in face.evoLVe's state-dict layout."""
    torch.manual_seed(0)
    torch.save(build_face(FaceSettings(name="ir50")).state_dict(), path)


def cnceleb(mini: Path, root: Path, people: int) -> None:
    """`CN-Celeb_flac` and `CN-Celeb2_flac` below root; a voice's videos are its scenes, of three genres."""
    genres = ("singing", "interview", "vlog")
    first, second = root / "CN-Celeb_flac", root / "CN-Celeb2_flac"
    trained = sorted((mini / "vox2/dev/aac").iterdir())[:people]
    tested = sorted((mini / "vox1/wav").iterdir())[:people]
    lists: dict[str, list[str]] = {"dev": [], "spk": [], "trials": [], "enroll": [], "map": []}
    for number, person in enumerate(trained):
        home, listed = (second, "spk") if number % 3 == 2 else (first, "dev")
        name = f"id{number:05d}" if home is first else f"id{10000 + number}"
        lists[listed].append(f"{name}\n")
        for path, genre, scene, take in _takes(person, genres):
            _flac(home / f"data/{name}/{genre}-{scene:02d}-{take:03d}.flac", [path])
    models = [f"id{800 + number:05d}" for number in range(len(tested))]
    tests = []
    for model, person in zip(models, tested, strict=True):
        takes = list(_takes(person, genres))
        enrolled = [take for take in takes if take[1] == takes[0][1]]
        names = []
        for path, genre, scene, take in enrolled:
            names.append(f"{model}/{genre}-{scene:02d}-{take:03d}.wav")  # the lists say .wav, the files are .flac
            _flac(first / "data" / names[-1].replace(".wav", ".flac"), [path])
        _flac(first / f"eval/enroll/{model}-enroll.flac", [take[0] for take in enrolled])
        lists["map"].append(f"{model}-enroll {' '.join(names)}\n")
        lists["enroll"].append(f"{model}-enroll enroll/{model}-enroll.wav\n")
        for path, genre, scene, take in takes[len(enrolled) :]:
            tests.append((model, f"test/{model}-{genre}-{scene:02d}-{take:03d}.wav"))
            _flac(first / "eval" / tests[-1][1].replace(".wav", ".flac"), [path])
    lists["trials"] = [f"{m}-enroll {name} {int(m == speaker)}\n" for m in models for speaker, name in tests]
    for name, key in (("dev/dev.lst", "dev"), ("eval/lists/trials.lst", "trials"), ("eval/lists/enroll.lst", "enroll"),
                      ("eval/lists/enroll.map", "map")):  # fmt: skip
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text("".join(lists[key]))
    (second / "spk.lst").write_text("".join(lists["spk"]))


def mavceleb(mini: Path, root: Path, people: int) -> None:
    """`v3` and `v3_lists` below root: voices and faces of English training, and pairs of both languages to judge.

    Of the judged pairs every other one is of one person, which `labels/test_*.txt` say; the challenge does not.
    """
    for name in ("v3_lists", "labels"):
        (root / name).mkdir(parents=True)
    lines = []
    for person in sorted((mini / "vox2/dev/aac").iterdir())[:people]:
        for take, voice in enumerate(sorted(person.rglob("*.m4a"))[:2]):
            stem = f"{person.name}/English/video/{take:05d}"
            lines.append(_pair(root / "v3", f"key{len(lines):05d}", stem, voice, person.name, mini / "vox2/dev/mp4"))
    (root / "v3_lists/English_train.txt").write_text("".join(lines))
    judged = sorted((mini / "vox2/test/aac").iterdir())[:people]
    for part, language in (("heard", "English"), ("unheard", "German")):
        lines, truth = [], []
        for number, person in enumerate(judged):
            shown = judged[(number + number % 2) % len(judged)].name
            voice = min(person.rglob("*.m4a"))
            key = f"{language.lower()}{number:03d}"
            faces = mini / "vox2/test/mp4"
            lines.append(_pair(root / "v3", key, f"{language}/{number:05d}", voice, shown, faces))
            truth.append(f"{key} {int(shown == person.name)}\n")
        (root / f"v3_lists/{language}_test.txt").write_text("".join(lines))
        (root / f"labels/test_{part}.txt").write_text("".join(truth))


def _pair(root: Path, key: str, stem: str, voice: Path, shown: str, faces: Path) -> str:
    """A voice and a face where a list's line, which is returned, names them."""
    _flac(root / f"voices/{stem}.wav", [voice])
    (root / f"faces/{stem}.jpg").parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(seen_face(min((faces / shown).rglob("*.mp4")))[1]).save(root / f"faces/{stem}.jpg")
    return f"{key} voices/{stem}.wav faces/{stem}.jpg\n"


def _takes(person: Path, genres):
    """(file, genre, scene, take) of a person's recordings, a video a scene."""
    for scene, video in enumerate(sorted(person.iterdir())):
        for take, path in enumerate(sorted(video.iterdir()), 1):
            yield path, genres[scene % len(genres)], 1 + scene // len(genres), take


def _flac(path: Path, sources: list[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate([read_audio(source) for source in sources]), 16000)
