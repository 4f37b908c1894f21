"""Anyone's own recordings, with or without pictures, into data directories: two roots and one expression."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.corpora.folder_settings import FolderSettings
from speakerkd.corpora.lists import check_named, names_of_list
from speakerkd.corpora.speech import keep_speech
from speakerkd.corpora.trials import write_lists
from speakerkd.data.names import composed, encode_key
from speakerkd.errors import InputError
from speakerkd.media.folders import Walk, ending, need_folder, stem
from speakerkd.media.formats import AUDIO, PICTURE, VIDEO

UNMATCHED = "whose names do not match --pattern (listed)"
GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f", "w": "f"}


@dataclass(frozen=True)
class Name:
    """What a file's path says; key is the path below its root without extension."""

    key: str
    path: str
    speaker: str
    session: str
    utterance: str
    gender: str


def prepare_folder(
    output: Path | str, audio_root: Path | str, image_root: Path | str | None, settings: FolderSettings, work: Work
) -> list[Built]:
    """Write `train` and, where speakers are held out, `test` with its trial lists below `output`.

    The expression is searched in each path relative to its root, without extension. Recordings and pictures with the
    same speaker and session (and utterance, with pair=utterance) belong together, their names compared in Unicode's
    composed form; where several pictures fit, the first by name is taken. Recordings without a picture stay, unpaired;
    speakers who have no picture at all train and are never drawn for the test.
    A file that links give several names is taken once. What lies there and is not used is counted by reason. With
    `vad`, copies of the recordings' speech alone are written below `output/speech`, and take their place.
    `test` gets trials_original, whose targets pair different sessions where they can, and trials_hard (non-targets of
    one gender) where genders are known.
    Raises InputError where nothing matches, a speaker's gender changes, or the split cannot be made.
    """
    audio_root = need_folder(audio_root, "folder of recordings", "give --audio-root DIR")
    walk = Walk(audio_root)
    sounds, refused = _matching(walk, AUDIO, settings)
    if not sounds:
        some = f" ({len(refused)} do not, such as {refused[0][0]})" if refused else ""
        raise InputError(f"no recording matches {settings.pattern!r}{some}", audio_root, "correct --pattern")
    faces: dict[tuple[str, ...], str] = {}
    left_out = []
    if image_root is not None:
        image_root = need_folder(image_root, "folder of pictures", "give --image-root DIR")
        images = Walk(image_root, once=False)
        faces, others = _faces(images, sounds, settings)
        if not images.yield_to(walk):
            walk.yield_to(images)
        known = set(refused)  # a video is looked at twice where one folder holds both
        images.left_out[UNMATCHED] -= sum(one in known for one in others)
        refused += [one for one in others if one not in known]
        left_out.append(images.account())
        if alone := sum(_shared(one, settings.pair) not in faces for one in sounds):
            left_out.append(f"{alone} recordings have no picture, and are kept without one")
    left_out = [text for text in (walk.account(), *left_out) if text]
    gender = _genders(sounds)
    speakers = {one.speaker for one in sounds}
    with_picture = {one.speaker for one in sounds if _shared(one, settings.pair) in faces}
    tested, withheld = _held_out(speakers, sorted(with_picture or speakers), gender, settings)
    parts = {
        "train": [one for one in sounds if one.speaker not in tested | withheld],
        "test": [one for one in sounds if one.speaker in tested],
    }
    if withheld:
        left_out.append(
            f"{len(withheld)} speakers of part {settings.fold} are in neither, for settings are chosen without them"
        )
    built = []
    for part, names in parts.items():
        if not names:
            continue
        recordings = [_recording(one, faces, settings.pair) for one in names]
        if settings.vad:
            recordings, silent = keep_speech(recordings, Path(output) / "speech" / part, work)
            refused += silent
        done = build(
            Path(output) / part,
            recordings,
            work,
            gender=gender,
            refused=refused,
            left_out="\n".join(left_out),
            inputs=[settings.test_list] if settings.test_list else [],
            **settings.model_dump(mode="json"),
        )
        refused, left_out = [], []  # a name that does not match belongs to neither part: the first one lists it
        if part == "test":
            scenes = {encode_key(one.key): f"{one.speaker}/{one.session}" for one in names}
            write_lists(done.path, settings.trials, settings.seed, scenes)
        built.append(done)
    return built


def _recording(one: Name, faces: Mapping[tuple[str, ...], str], pair: str) -> Recording:
    shared = _shared(one, pair)
    return Recording(one.key, one.path, one.speaker, "/".join(shared), faces.get(shared, ""))


def _faces(
    walk: Walk, sounds: Sequence[Name], settings: FolderSettings
) -> tuple[dict[tuple[str, ...], str], list[tuple[str, str]]]:
    """{what a recording shares with its picture: the picture}, and (path, reason) of pictures that do not match."""
    pictures, refused = _matching(walk, PICTURE, settings)
    faces: dict[tuple[str, ...], str] = {}
    voices = {_shared(one, settings.pair) for one in sounds}
    for one in pictures:
        shared = _shared(one, settings.pair)
        if shared not in voices:
            walk.left_out["pictures without a recording"] += 1
        elif faces.setdefault(shared, one.path) != one.path:
            walk.left_out[f"pictures beside the first of their {settings.pair}"] += 1
    if not faces:
        what = f"no picture belongs to a recording ({len(pictures)} pictures match the pattern)"
        raise InputError(what, walk.root, f"correct --pattern or --pair, which is {settings.pair}")
    return faces, refused


def _matching(walk: Walk, endings: Set[str], settings: FolderSettings) -> tuple[list[Name], list[tuple[str, str]]]:
    """What the paths below the root say, and (path, reason) of those that do not match the expression.

    Of a video and a recording or picture of the same name, the latter is taken.
    """
    expression = re.compile(settings.pattern)
    names: dict[str, Name] = {}
    refused: list[tuple[str, str]] = []
    for relative in sorted(walk.files(endings), key=lambda path: ending(path) in VIDEO):
        key = composed(stem(relative))
        match = expression.search(key)
        groups = {name: value for name, value in match.groupdict().items() if value} if match else {}
        spelling = groups.get("gender", "").lower()
        if "speaker" not in groups:
            refused.append((relative, f"the name does not match {settings.pattern!r}"))
            walk.left_out[UNMATCHED] += 1
        elif spelling and spelling not in GENDERS:
            refused.append((relative, f"the gender '{spelling}' is neither m nor f"))
        elif key in names and ending(relative) not in VIDEO:
            refused.append((relative, f"duplicate key, {names[key].path} has it already, rename one of the two"))
        elif key not in names:
            utterance = groups.get("utterance", key)
            session = groups.get("session", "0")
            gender = GENDERS.get(spelling, "")
            names[key] = Name(key, f"{walk.root}/{relative}", groups["speaker"], session, utterance, gender)
        else:
            walk.left_out["videos beside a recording or picture of their name"] += 1
    return [names[key] for key in sorted(names)], [*refused, *walk.refused]


def _shared(name: Name, pair: str) -> tuple[str, ...]:
    """What a recording and its picture have in common."""
    return (name.speaker, name.session) if pair == "session" else (name.speaker, name.session, name.utterance)


def _genders(names: Sequence[Name]) -> dict[str, str]:
    gender: dict[str, str] = {}
    for one in names:
        if one.gender and gender.setdefault(one.speaker, one.gender) != one.gender:
            raise InputError(f"speaker '{one.speaker}' is of two genders", one.path, "correct the names or --pattern")
    return gender


def _held_out(
    everyone: Set[str], speakers: Sequence[str], gender: Mapping[str, str], settings: FolderSettings
) -> tuple[set[str], set[str]]:
    """Those for testing, of `speakers` drawn from the seed, either gender in proportion; and those for neither part."""
    if settings.test_list is not None:
        named = names_of_list(settings.test_list, lambda line: (composed(line.strip()),))
        check_named(named, everyone, settings.test_list, "speaker")
        return set(named), set()
    rng = np.random.default_rng([settings.seed, 5])
    shuffled = [speakers[n] for n in rng.permutation(len(speakers))]
    groups: dict[str, list[str]] = {}
    for name in shuffled:
        groups.setdefault(gender.get(name, ""), []).append(name)
    if settings.folds:
        if 2 * settings.folds > len(speakers):
            raise InputError(f"{settings.folds} folds of {len(speakers)} speakers", "--folds", "give two speakers each")
        one_after_the_other = list(chain.from_iterable(groups.values()))
        folds = [set(one_after_the_other[n :: settings.folds]) for n in range(settings.folds)]
        if settings.development:
            return folds[(settings.fold + 1) % settings.folds], folds[settings.fold]
        return folds[settings.fold], set()
    wanted = settings.test_speakers or round(settings.test_fraction * len(speakers))
    if wanted == 0 and settings.test_fraction == 0:
        return set(), set()
    if not 2 <= wanted <= len(speakers):
        raise InputError(
            f"{wanted} of {len(speakers)} speakers held out", "--test-speakers", f"give 2 to {len(speakers)}"
        )
    # Each speaker's rank within the gender, as a share: taking the lowest keeps the proportions.
    rank = {name: (n + 0.5) / len(group) for group in groups.values() for n, name in enumerate(group)}
    return set(sorted(shuffled, key=rank.__getitem__)[:wanted]), set()
