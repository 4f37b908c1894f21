"""`prepare mini`: the people, their videos and recordings, the trial lists and the noises, file by file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from speakerkd.corpora import trials
from speakerkd.corpora.mini import faces, media, noises, sentences, voices
from speakerkd.corpora.mini.settings import MiniSettings
from speakerkd.errors import InputError
from speakerkd.version import __version__
from speakerkd.work import shards
from speakerkd.work.files import whole_file, write_json
from speakerkd.work.records import read_json

RECORD = "mini.json"
FOLDERS = ("vox1", "vox2", "musan")
TRIALS = 8  # a recording: half with its own speaker and half with others, as in VoxCeleb1's own list
SPLITS = 1000  # tried before giving up
TEST = 0.5  # share of the people
NAME_LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True)
class Person:
    """One identity: its number in the face set, its place on the components, and where it goes."""

    number: int
    face: np.ndarray
    point: np.ndarray
    part: str  # dev | test

    @property
    def gender(self) -> str:
        return "m" if self.point[0] > 0 else "f"

    @property
    def vox2(self) -> str:
        return f"id{self.number + 1:05d}"

    @property
    def vox1(self) -> str:
        return f"id{self.number + 10270:05d}"  # forty numbers of VoxCeleb1's test part, the others of its dev part


def people(settings: MiniSettings, *, jobs: int = 1, cluster: str | None = None) -> list[Person]:
    """Draw the people, split them for training and test, and place them where SFace sees them.

    The components that voices follow from are fitted on the training people's embeddings alone.
    """
    everyone = faces.load_faces()
    rng = np.random.default_rng([settings.seed, 0])
    order = rng.permutation(len(everyone))[: settings.identities].tolist()
    numbers = sorted(order)
    embedded = []
    for _, result in shards.each(faces.seen, [everyone[n] for n in numbers], jobs=jobs, cluster=cluster, label="faces"):
        if isinstance(result, InputError):
            raise result
        embedded.append(result)
    count = round(len(order) * TEST)
    for _ in range(SPLITS):
        test = set(order[:count])
        fitted = np.array([n not in test for n in numbers])
        placed = faces.places(np.stack(embedded), fitted)
        men = placed[:, 0] > 0
        if min(sum(men & fitted), sum(men & ~fitted), sum(~men & fitted), sum(~men & ~fitted)) >= max(2, count // 4):
            break  # both sexes on either side, or there would be no list of one sex
        order = rng.permutation(order).tolist()
    else:
        raise InputError(
            "no split has both sexes on either side", "prepare mini", "give more people, or another --seed"
        )
    return [Person(n, everyone[n], placed[k], "dev" if fitted[k] else "test") for k, n in enumerate(numbers)]


def write_person(root: Path, settings: MiniSettings, person: Person) -> list[str]:
    """Write one person's media below `root`, those that are missing; gives their VoxCeleb1 recordings (test only)."""
    recordings = []
    voice = voices.from_face(person.point)
    for video in range(settings.videos):
        rng = np.random.default_rng([settings.seed, 1, person.number, video])
        name = "".join(rng.choice(NAME_LETTERS, 11))
        scene, channel, mood = faces.Scene.draw(rng), voices.Channel.draw(rng), voice.varied(rng, 1)
        for utterance in range(settings.utterances):
            stem = f"{name}/{utterance + 1:05d}"
            sound = root / "vox2" / person.part / "aac" / person.vox2 / f"{stem}.m4a"
            sight = root / "vox2" / person.part / "mp4" / person.vox2 / f"{stem}.mp4"
            plain = root / "vox1" / "wav" / person.vox1 / f"{stem}.wav"
            wanted = [sound, sight]
            if person.part == "test":
                wanted.append(plain)
                recordings.append(f"{person.vox1}/{stem}.wav")
            if all(path.exists() for path in wanted):
                continue
            rng = np.random.default_rng([settings.seed, 2, person.number, video, utterance])
            speech = channel.apply(say(mood.varied(rng, 0.4), rng), rng)
            media.write_m4a(sound, speech, voices.RATE)
            if person.part == "test":
                media.write_wav(plain, speech, voices.RATE)
            count = max(2, round(len(speech) / voices.RATE * media.FRAMES_A_SECOND))
            media.write_mp4(sight, faces.frames(person.face, scene, count, rng))
    return recordings


def say(voice: voices.Voice, rng: np.random.Generator) -> np.ndarray:
    """One sentence of 3 to 6 s, whatever the voice's rate."""
    words = max(7, round(voice.rate / 60 * rng.uniform(3.2, 4.2)))
    for attempt in range(20):
        speech = voices.speak(sentences.sentence(rng, words - attempt // 4), voice)
        if 3 * voices.RATE <= len(speech) <= 6 * voices.RATE:
            return voices.breathe(speech, voice.breath, rng)
    raise InputError("no sentence of 3 to 6 s found", f"rate {voice.rate:.0f}", "report it with the seed")


def write_noise(root: Path, seed: int, name: str) -> None:
    """Write one file of the MUSAN layout, if it is missing."""
    path = root / "musan" / f"{name}.wav"
    if not path.exists():
        names = list(noises.recipes())
        rng = np.random.default_rng([seed, 3, names.index(name)])
        media.write_wav(path, noises.recipes()[name](rng).astype(np.float32), voices.RATE)


def write_lists(root: Path, everyone: list[Person], recordings: list[str], seed: int) -> int:
    """Write the meta tables and the VoxCeleb1 trial lists; gives the number of trials of the original list."""
    vox2 = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "]
    vox1 = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    for person in everyone:
        vox2.append(f"{person.vox2} ,n{person.number + 1:06d} ,{person.gender} ,{person.part} ")
        if person.part == "test":
            vox1.append(f"{person.vox1}\tMini_Person_{person.number + 1}\t{person.gender}\tNowhere\ttest")
    for path, lines in (("vox2/vox2_meta.csv", vox2), ("vox1/vox1_meta.csv", vox1)):
        with whole_file(root / path) as stream:
            stream.writelines(line + "\n" for line in lines)
    speaker = {name: name.split("/")[0] for name in recordings}
    session = {name: name.rsplit("/", 1)[0] for name in recordings}
    gender = {person.vox1: person.gender for person in everyone}
    count = TRIALS * len(recordings)
    drawn = trials.draw(speaker, count, seed, session=session)
    trials.write_trials(root / "vox1" / "veri_test.txt", drawn)
    drawn = trials.draw(speaker, count, seed + 1, session=session, group=gender)
    trials.write_trials(root / "vox1" / "list_test_hard.txt", drawn)
    return count


def write_mini(root: Path, settings: MiniSettings, *, jobs: int = 0, cluster: str | None = None) -> dict[str, int]:
    """Write the corpus below `root`; what a killed run left is kept, other settings start afresh.

    Gives counts of people, utterances and trials. Raises InputError if `root` holds something that is not mini.
    """
    _claim(root, settings)
    everyone = people(settings, jobs=jobs, cluster=cluster)
    recordings: list[str] = []
    for person, result in shards.each(
        partial(write_person, root, settings), everyone, jobs=jobs, cluster=cluster, label="people"
    ):
        if isinstance(result, InputError):
            raise InputError(result.what, f"person {person.number}", result.fix)
        recordings += result
    for name in noises.recipes():
        write_noise(root, settings.seed, name)
    count = write_lists(root, everyone, recordings, settings.seed)
    utterances = len(everyone) * settings.videos * settings.utterances
    return {"people": len(everyone), "utterances": utterances, "trials": count}


def _claim(root: Path, settings: MiniSettings) -> None:
    """Make `root` the home of this corpus, clearing a mini of other settings and refusing anything else."""
    record = {"corpus": "mini", "version": __version__, **settings.model_dump()}
    path = root / RECORD
    if path.is_file():
        if _read(path) == record:
            for leftover in root.rglob(".*.part"):  # of a run that was killed
                leftover.unlink()
            return
        for folder in FOLDERS:
            shutil.rmtree(root / folder, ignore_errors=True)
    elif root.is_dir() and any(root.iterdir()):
        raise InputError("the folder is not empty and holds no mini corpus", root, "name a new folder")
    write_json(path, record)


def _read(path: Path) -> object:
    try:
        return read_json(path, dict[str, Any], "")
    except InputError:
        return None
