"""MAV-Celeb (v1 to v3) of the FAME challenge: its lists -> data directories of voices with faces, by language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from speakerkd.config import Settings
from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.data.names import encode_key
from speakerkd.data.text import fields_of, numbered_lines
from speakerkd.errors import InputError, nearest
from speakerkd.media.folders import walk_unused
from speakerkd.media.formats import AUDIO, PICTURE

LANGUAGES = {"v1": ("English", "Urdu"), "v2": ("English", "Hindi"), "v3": ("English", "German")}
PAIRS = "fame_pairs"  # a test directory's list: the challenge's key of every line, in its order


class MavCelebSettings(Settings):
    """Which version of the corpus, and the language that is heard in training."""

    root: Path = Field(description="folder that the lists' paths start from: with voices/ and faces/")
    lists: Path | None = Field(None, description="folder of English_train.txt, English_test.txt, ...; null: the root")
    version: Literal["v1", "v2", "v3"] = Field("v3", description="v1: English, Urdu; v2: English, Hindi; v3: German")
    heard: str = Field("English", description="language of training; the version's other one is not heard")

    @model_validator(mode="after")
    def _of_this_version(self) -> MavCelebSettings:
        known = LANGUAGES[self.version]
        if self.heard not in known:
            raise ValueError(f"MAV-Celeb {self.version} has {' and '.join(known)}, {nearest(self.heard, known)}")
        return self

    @property
    def unheard(self) -> str:
        """The version's other language."""
        return next(name for name in LANGUAGES[self.version] if name != self.heard)


def prepare_mavceleb(output: Path | str, settings: MavCelebSettings, work: Work) -> list[Built]:
    """Make OUTPUT/train of the heard language, OUTPUT/test_heard and OUTPUT/test_unheard.

    A line of a list is `KEY voices/... faces/...`; in training lists the person is the folder `id...` of the voice, or
    KEY. Test directories keep the challenge's lines as `fame_pairs`, where who speaks is not known: every line is a
    speaker of its own; utt2lang says which language it is. A test list that is not there is left out, which is said.

    Raises InputError for a list that is missing or broken, and where more recordings were lost than `work` allows.
    """
    output, lists = Path(output), settings.lists or settings.root
    train = _recordings(lists / f"{settings.heard}_train.txt", settings.root, known=True)
    languages = {"test_heard": settings.heard, "test_unheard": settings.unheard}
    paths = {name: lists / f"{language}_test.txt" for name, language in languages.items()}
    tests = {name: _recordings(path, settings.root, known=False) for name, path in paths.items() if path.is_file()}
    if not tests:
        raise InputError("no test list", paths["test_heard"], "give the challenge's lists with --lists")
    used = [path for part in (train, *tests.values()) for one in part for path in (one.audio, one.face)]
    used += [str(path) for path in lists.glob("*_t*.txt")]
    walk = walk_unused(settings.root, used, AUDIO | PICTURE, lambda name: "recordings and pictures that no list names")
    built = [
        build(
            output / "train",
            train,
            work,
            refused=walk.refused,
            left_out=walk.account(),
            version=settings.version,
            heard=settings.heard,
        )
    ]
    for name, test in tests.items():
        language = languages[name]
        keys = sorted((encode_key(recording.key) for recording in test), key=str.encode)
        texts = {
            PAIRS: [f"{recording.key}\n" for recording in test],
            "utt2lang": [f"{key} {language}\n" for key in keys],
        }
        built.append(build(output / name, test, work, texts=texts, inputs=[paths[name]], language=language))
    return built


def _recordings(path: Path, root: Path, known: bool) -> list[Recording]:
    """The lines of a list; known: they say who speaks."""
    recordings: dict[str, Recording] = {}
    for number, line in numbered_lines(path, "list", "give the challenge's lists with --lists"):
        fields = fields_of(line)
        if len(fields) != 3:
            raise InputError(f"{len(fields)} fields", f"{path}:{number}", "a line is `KEY VOICE FACE`")
        key, voice, face = fields
        where = re.search(r"(?:^|/)(id\d+)/", voice)
        speaker = (where[1] if where else key) if known else key
        name = voice.rpartition(".")[0] if known else key
        if name in recordings:
            raise InputError(f"'{name}' stands twice", f"{path}:{number}", "leave one line")
        session = f"{speaker}/{name.replace('/', '_')}"  # every line has a face of its own
        recordings[name] = Recording(name, str(root / voice), speaker, session, str(root / face))
    if not recordings:
        raise InputError("an empty list", path, "give the challenge's lists")
    return list(recordings.values())
