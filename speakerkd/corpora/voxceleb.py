"""VoxCeleb1 and VoxCeleb2, as their owners ship them, into data directories."""

from __future__ import annotations

from pathlib import Path

from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.corpora.lists import check_named, names_of_list, numbered_lines, read_gender
from speakerkd.corpora.paths import ending, media_below, need_folder, stem
from speakerkd.corpora.probe import AUDIO, IMAGE, PICTURE
from speakerkd.data.validate import trial_names
from speakerkd.errors import InputError
from speakerkd.frontend.audio import SOUNDFILE

PARTS = {"dev": "train", "test": "test"}  # of VoxCeleb2, and the data directories made of them
LISTS = {
    "veri_test.txt": "original",
    "veri_test2.txt": "cleaned",
    "list_test_all.txt": "extended",
    "list_test_all2.txt": "extended_cleaned",
    "list_test_hard.txt": "hard",
    "list_test_hard2.txt": "hard_cleaned",
}
LAYOUT1 = "it holds wav/<id>/<video>/00001.wav (or dev/wav and test/wav) and trial lists such as veri_test.txt"
LAYOUT2 = "it holds dev/aac/<id>/<video>/00001.m4a, dev/mp4/<id>/<video>/00001.mp4, and the same below test"


def prepare_vox2(output: Path | str, root: Path | str, work: Work) -> list[Built]:
    """Write `train` (VoxCeleb2 dev) and `test` (VoxCeleb2 test) below `output`, each with faces where it has them.

    A part that is not there is not written. Raises InputError where the layout is not VoxCeleb2's.
    """
    root = need_folder(root, "VoxCeleb2", LAYOUT2)
    meta = root / "vox2_meta.csv"
    built = []
    for part, name in PARTS.items():
        audio = next((root / part / kind for kind in ("aac", "wav") if (root / part / kind).is_dir()), None)
        if audio is None:
            continue
        recordings, refused = _pairs(audio, root / part / "mp4")
        if not recordings:
            raise InputError("no recordings", audio, LAYOUT2)
        built.append(
            build(
                Path(output) / name,
                recordings,
                work,
                gender=read_gender(meta) if meta.is_file() else None,
                refused=refused,
                made_from=[meta],
            )
        )
    if not built:
        raise InputError("neither dev nor test of VoxCeleb2", root, LAYOUT2)
    return built


def _pairs(audio: Path, faces: Path) -> tuple[list[Recording], list[tuple[str, str]]]:
    """Every recording with the face video (or picture, or folder of pictures) of the same id, video and utterance."""
    face: dict[str, str] = {}
    if faces.is_dir():
        pictures: dict[str, list[str]] = {}
        for name in media_below(faces, PICTURE):
            key = stem(name)
            parts = key.split("/")
            if len(parts) == 3:
                face.setdefault(key, name)
            elif len(parts) == 4 and ending(name) in IMAGE:
                pictures.setdefault("/".join(parts[:3]), []).append(name)
        for key, names in pictures.items():
            face.setdefault(key, names[len(names) // 2])
    recordings: dict[str, Recording] = {}
    refused = []
    # Where a wav was made beside its m4a, it comes first: it decodes faster.
    for name in sorted(media_below(audio, AUDIO), key=lambda path: ending(path) not in SOUNDFILE):
        key = stem(name)
        parts = key.split("/")
        if len(parts) != 3:
            refused.append((key, f"not of the form id/video/utterance, {audio / name}, move it there"))
            continue
        shown = f"{faces}/{face[key]}" if key in face else ""
        recordings.setdefault(key, Recording(key, f"{audio}/{name}", parts[0], f"{parts[0]}/{parts[1]}", shown))
    return list(recordings.values()), refused


def prepare_vox1(output: Path | str, root: Path | str, work: Work, lists: Path | str | None = None) -> Built:
    """Write `vox1` below `output`: the recordings that VoxCeleb1's trial lists name, and those lists.

    lists: the folder of the trial lists, if it is not the root. They become trials_original, trials_cleaned,
    trials_extended and trials_hard, whichever are found, line for line as they are.
    Raises InputError where there is no list, or with file and line where one names a recording that is not there.
    """
    root = need_folder(root, "VoxCeleb1", LAYOUT1)
    lists = need_folder(lists or root, "folder of trial lists", "give --lists DIR")
    found = {name: lists / file for file, name in LISTS.items() if (lists / file).is_file()}
    if not found:
        raise InputError(f"no trial list ({', '.join(LISTS)})", lists, "put one there, or give --lists DIR")
    named = {path: names_of_list(path, trial_names) for path in found.values()}
    folders = [f for f in (root / "wav", root / "test" / "wav", root / "dev" / "wav") if f.is_dir()]
    if not folders:
        raise InputError("no recordings of VoxCeleb1", root, LAYOUT1)
    wanted = {stem(name) for names in named.values() for name in names}
    recordings: dict[str, Recording] = {}
    for folder in folders:
        for name in media_below(folder, AUDIO):
            key = stem(name)
            if key in wanted:
                speaker, _, rest = key.partition("/")
                session = f"{speaker}/{rest.split('/')[0]}"
                recordings.setdefault(key, Recording(key, f"{folder}/{name}", speaker, session))
    for path, names in named.items():
        check_named({stem(name): line for name, line in names.items()}, recordings.keys(), path)
    meta = root / "vox1_meta.csv"
    return build(
        Path(output) / "vox1",
        list(recordings.values()),
        work,
        gender=read_gender(meta) if meta.is_file() else None,
        texts={f"trials_{name}": (line for _, line in numbered_lines(path)) for name, path in found.items()},
        made_from=[meta, *found.values()],
    )
