"""VoxCeleb1 and VoxCeleb2, as their owners ship them, into data directories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.corpora.lists import check_named, names_of_trials, read_gender
from speakerkd.corpora.parts import first_file, folders_below, packed_below
from speakerkd.corpora.voxceleb_parts import FACES2, LISTS, META1, META2, SOUND1, SOUND2
from speakerkd.data.names import plain_name
from speakerkd.data.text import numbered_lines
from speakerkd.errors import InputError
from speakerkd.media.folders import ending, media_below, need_folder, stem, walk_unused
from speakerkd.media.formats import AUDIO, IMAGE, PICTURE, SOUND_ALONE, VIDEO

CONTAINERS = VIDEO | set(SOUND_ALONE)
PARTS = {"dev": "train", "test": "test"}  # of VoxCeleb2, and the data directories made of them
LAYOUT1 = (
    "it holds wav/<id>/<video>/00001.wav (or dev/wav and test/wav, or vox1_dev_wav/wav) and trial lists such as "
    "veri_test.txt"
)
LAYOUT2 = (
    "it holds dev/aac/<id>/<video>/00001.m4a (or .wav below dev/wav), dev/mp4/<id>/<video>/00001.mp4, and the same "
    "below test"
)


def prepare_vox2(output: Path | str, root: Path | str, work: Work, lists: Path | str | None = None) -> list[Built]:
    """Write `train` (VoxCeleb2 dev) and `test` (VoxCeleb2 test) below `output`, each with faces where it has them.

    A part that is not there is not written. lists: where vox2_meta.csv is looked for before the root.
    Raises InputError where the layout is not VoxCeleb2's, naming what lies there packed.
    """
    root = need_folder(root, "VoxCeleb2", LAYOUT2)
    meta = next(iter(first_file(_homes(lists, root), META2)), None)
    parts: dict[str, tuple[list[Recording], list[tuple[str, str]]]] = {}
    for part, name in PARTS.items():
        if sounds := folders_below(root, SOUND2[part]):
            parts[name] = _pairs(sounds, folders_below(root, FACES2[part]))
            if not parts[name][0]:
                raise InputError("no recordings", sounds[0], LAYOUT2)
    if not parts:
        raise InputError("neither dev nor test of VoxCeleb2", root, _unpack(root) or LAYOUT2)
    used = [path for recordings, _ in parts.values() for one in recordings for path in (one.audio, one.face) if path]
    walk = walk_unused(root, [*used, *([meta] if meta else [])], AUDIO | PICTURE, _unused2)
    built: list[Built] = []
    for name, (recordings, refused) in parts.items():
        built.append(
            build(
                Path(output) / name,
                recordings,
                work,
                gender=read_gender(meta) if meta else None,
                refused=refused if built else [*refused, *walk.refused],
                left_out="" if built else walk.account(),
                inputs=[meta] if meta else [],
            )
        )
    return built


def _unused2(name: str) -> str:
    if ending(name) in PICTURE:
        return "pictures and videos of no recording, or beside the one that is taken"
    return "recordings in other places, or beside one of their name"


def _unpack(root: Path) -> str:
    """What to do where the corpus lies there, but packed."""
    packed = packed_below(root)
    return f"unpack {packed[0].name}" + (f" and {len(packed) - 1} more there" if packed[1:] else "") if packed else ""


def _pairs(sounds: Sequence[Path], faces: Sequence[Path]) -> tuple[list[Recording], list[tuple[str, str]]]:
    """Every recording with the face video (or picture, or folder of pictures) of the same id, video and utterance.

    Of a recording that lies in several folders, or as wav beside its m4a, the first is taken: wav decodes faster.
    """
    face = _faces(faces)
    recordings: dict[str, Recording] = {}
    refused = []
    for audio in sounds:
        for name in sorted(media_below(audio, AUDIO), key=lambda path: ending(path) in CONTAINERS):
            key = stem(name)
            parts = key.split("/")
            if len(parts) != 3:
                refused.append((key, f"not of the form id/video/utterance, {audio / name}, move it there"))
                continue
            recording = Recording(key, f"{audio}/{name}", parts[0], f"{parts[0]}/{parts[1]}", face.get(key, ""))
            recordings.setdefault(key, recording)
    return list(recordings.values()), refused


def _faces(folders: Sequence[Path]) -> dict[str, str]:
    """{id/video/utterance: its video, picture, or the middle one of its folder of pictures}."""
    face: dict[str, str] = {}
    for folder in folders:
        pictures: dict[str, list[str]] = {}
        for name in media_below(folder, PICTURE, once=False):
            key = stem(name)
            parts = key.split("/")
            if len(parts) == 3:
                face.setdefault(key, f"{folder}/{name}")
            elif len(parts) == 4 and ending(name) in IMAGE:
                pictures.setdefault("/".join(parts[:3]), []).append(f"{folder}/{name}")
        for key, names in pictures.items():
            face.setdefault(key, names[len(names) // 2])
    return face


def prepare_vox1(output: Path | str, root: Path | str, work: Work, lists: Path | str | None = None) -> Built:
    """Write `vox1` below `output`: the recordings that VoxCeleb1's trial lists name, and those lists.

    lists: where the trial lists and vox1_meta.csv are looked for before the root. They become trials_original,
    trials_cleaned, trials_extended and trials_hard, whichever are found, line for line as they are. A list of which
    whole speakers are not on the disk (VoxCeleb1's dev part, say) is left out: see `lists_left_out`.
    Raises InputError where there is no list, or with file and line where one names a recording that is not there.
    """
    root = need_folder(root, "VoxCeleb1", LAYOUT1)
    if lists is not None:
        need_folder(lists, "folder of trial lists", "give --lists DIR")
    homes = _homes(lists, root)
    trial_lists = {name: path for file, name in LISTS.items() for path in first_file(homes, file)}
    if not trial_lists:
        raise InputError(f"no trial list ({', '.join(LISTS)})", lists or root, "put one there, or give --lists DIR")
    folders = folders_below(root, SOUND1)
    if not folders:
        raise InputError("no recordings of VoxCeleb1", root, _unpack(root) or LAYOUT1)
    named = {path: names_of_trials(path) for path in trial_lists.values()}
    absent = lists_left_out(root, lists)
    named = {path: names for path, names in named.items() if path not in absent}
    if not named:
        first = next(iter(absent))
        raise InputError(f"no list whose speakers are all here ({absent[first]})", first, _unpack(root) or LAYOUT1)
    wanted = {plain_name(name) for names in named.values() for name in names}
    recordings: dict[str, Recording] = {}
    for folder in folders:
        for name in media_below(folder, AUDIO):
            key = stem(name)
            if key in wanted:
                speaker, _, rest = key.partition("/")
                session = f"{speaker}/{rest.split('/')[0]}"
                recordings.setdefault(key, Recording(key, f"{folder}/{name}", speaker, session))
    for path, names in named.items():
        check_named(names, recordings.keys(), path)
    meta = next(iter(first_file(homes, META1)), None)
    listed = [*trial_lists.values(), *([meta] if meta else [])]
    walk = walk_unused(
        root,
        [*(one.audio for one in recordings.values()), *listed],
        AUDIO,
        lambda name: "recordings that no list names, or beside one of their name",
    )
    kept = {name: path for name, path in trial_lists.items() if path in named}
    return build(
        Path(output) / "vox1",
        list(recordings.values()),
        work,
        gender=read_gender(meta) if meta else None,
        refused=walk.refused,
        left_out=walk.account(),
        texts={f"trials_{name}": (line for _, line in numbered_lines(path)) for name, path in kept.items()},
        inputs=[*([meta] if meta else []), *kept.values()],
    )


def _homes(lists: Path | str | None, root: Path | str) -> list[Path]:
    """Where lists and tables are looked for, the first before the second."""
    return [Path(root)] if lists is None else [Path(lists), Path(root)]


def lists_left_out(root: Path | str, lists: Path | str | None = None) -> dict[Path, str]:
    """{trial list: what of its speakers is not on the disk}: those that cannot be scored here."""
    root = Path(root)
    here = {entry.name for folder in folders_below(root, SOUND1) for entry in os.scandir(folder) if entry.is_dir()}
    absent = {}
    for file in LISTS:
        for path in first_file(_homes(lists, root), file):
            speakers = {name.split("/")[0] for name in names_of_trials(path) if "/" in name}
            if (gone := len(speakers - here)) and here:
                absent[path] = f"{gone} of its {len(speakers)} speakers are not on the disk"
    return absent
