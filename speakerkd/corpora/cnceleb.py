"""CN-Celeb1 and CN-Celeb2, as their owners ship them, into data directories."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from speakerkd.corpora.build import Built, Recording, Work, build
from speakerkd.corpora.joined import genre, join_short
from speakerkd.corpora.lists import check_named, names_of_list, names_of_trials
from speakerkd.corpora.parts import packed_below
from speakerkd.data.names import encode_key
from speakerkd.data.text import numbered_lines
from speakerkd.errors import InputError
from speakerkd.media.folders import Walk, media_below, need_folder, stem, walk_unused
from speakerkd.media.formats import AUDIO

LAYOUT1 = "it holds data/<id>/*.flac, dev/dev.lst and eval/{enroll,test,lists}"
LAYOUT2 = "it holds data/<id>/*.flac and spk.lst"


def prepare_cnceleb(
    output: Path | str,
    work: Work,
    *,
    cn1: Path | str | None = None,
    cn2: Path | str | None = None,
    join: float = 5.0,
    train: bool = True,
) -> list[Built]:
    """Write `train` (CN-Celeb1 dev and CN-Celeb2) and `eval` (CN-Celeb1's test) below `output`.

    `eval` holds enroll.map (model -> its recordings), trials_eval, whose enrolments are models, trials_concat,
    whose enrolments are the recordings that the owners joined together, and utt2genre. A session is the genre and
    number in a name. join: training recordings shorter than so many seconds are joined within a speaker and genre
    (see `join_short`); 0: none are. train: False writes `eval` alone.
    Raises InputError where a layout is not theirs, or a list names what is not there, with file and line.
    """
    if cn1 is None and cn2 is None:
        raise InputError("no corpus named", "prepare cnceleb", "give --cn1 DIR, --cn2 DIR or both")
    recordings: list[Recording] = []
    lists: list[Path] = []
    walks: list[Walk] = []
    for root, name, listed, layout in (
        (cn1, "CN-Celeb1", "dev/dev.lst", LAYOUT1),
        (cn2, "CN-Celeb2", "spk.lst", LAYOUT2),
    ):
        if root is None or not train:
            continue
        home = need_folder(root, name, layout)
        lists.append(home / listed)
        part = _of_speakers(data := _data(home, name, layout), home / listed)
        recordings += part
        walks.append(_unused(data, part, "recordings of speakers that the training list does not name"))
    built = []
    if train:
        if join > 0:
            recordings = join_short(recordings, Path(output).absolute() / "joined", join, work)
        refused = [one for walk in walks for one in walk.refused]
        account = "\n".join(filter(None, (walk.account() for walk in walks)))
        train_set = Path(output) / "train"
        built.append(build(train_set, recordings, work, refused=refused, left_out=account, inputs=lists, join=join))
    if cn1 is not None:
        built.append(_prepare_eval(Path(output) / "eval", Path(cn1), work))
    return built


def left_out(cn1: Path | str | None, cn2: Path | str | None, train: bool = True) -> dict[str, str | None]:
    """{part: what its absence costs, or None where it is there}, for `work.left_out`."""
    sentences: dict[str, str | None] = {}
    if cn1 is not None:
        path = Path(cn1) / "eval" / "lists" / "enroll.map"
        sentences["enroll.map"] = (
            None
            if path.is_file()
            else (f"no {path}, and so without the mean of a model's embeddings: both EERs are of joined recordings")
        )
    if train:
        sentences["CN-Celeb2"] = None if cn2 else "no CN-Celeb2 (--cn2), training is on CN-Celeb1's 797 speakers alone"
        sentences["CN-Celeb1"] = None if cn1 else "no CN-Celeb1 (--cn1), and so without its test: no trials are written"
    return sentences


def _unused(folder: Path, used: Iterable[Recording], why: str, lists: Iterable[Path] = ()) -> Walk:
    return walk_unused(folder, [*(one.audio for one in used), *lists], AUDIO, lambda name: why)


def _data(home: Path, name: str, layout: str) -> Path:
    packed = packed_below(home)
    return need_folder(home / "data", f"recordings of {name}", f"unpack {packed[0].name}" if packed else layout)


def _of_speakers(data: Path, listed: Path) -> list[Recording]:
    """The recordings of the speakers that a list names."""
    speakers = names_of_list(listed, lambda line: (line.split()[0],))
    check_named(speakers, {entry.name for entry in os.scandir(data) if entry.is_dir()}, listed, "speaker")
    recordings: dict[str, Recording] = {}  # one that lies there as flac and as wav is one recording
    for speaker in speakers:
        for name in media_below(data / speaker, AUDIO):
            key = f"{speaker}/{stem(name)}"
            recordings.setdefault(key, _recording(key, f"{data}/{speaker}/{name}", speaker))
    if not recordings:
        raise InputError("no recordings of the listed speakers", data, "unpack all of the corpus")
    return list(recordings.values())


def _recording(key: str, path: str, speaker: str) -> Recording:
    """The session of `id00800/interview-01-003` and of `test/id00800-interview-01-003` is `id00800/interview-01`."""
    name = key.rpartition("/")[2].removeprefix(f"{speaker}-")
    scene = name.rpartition("-")[0] or name
    return Recording(key, path, speaker, f"{speaker}/{scene}")


def _prepare_eval(output: Path, root: Path, work: Work) -> Built:
    home = need_folder(root / "eval", "test set of CN-Celeb1", LAYOUT1)
    lists = {name: home / "lists" / name for name in ("trials.lst", "enroll.lst", "enroll.map")}
    recordings: dict[str, Recording] = {}
    for part in ("enroll", "test"):
        for name in media_below(need_folder(home / part, f"eval/{part} of CN-Celeb1", LAYOUT1), AUDIO):
            key = f"{part}/{stem(name)}"
            recordings[key] = _recording(key, f"{home / part}/{name}", name.split("-")[0])
    joined = _joined(lists["enroll.lst"], recordings)
    models = _models(lists["enroll.map"], root / "data", recordings) if lists["enroll.map"].is_file() else dict(joined)
    check_named(names_of_trials(lists["trials.lst"]), {*models, *recordings}, lists["trials.lst"])
    walk = _unused(home, recordings.values(), "recordings beside one of their name", lists.values())
    return build(
        output,
        list(recordings.values()),
        work,
        refused=walk.refused,
        left_out=walk.account(),
        texts={
            "enroll.map": (f"{model} {' '.join(keys.split())}" for model, keys in sorted(models.items())),
            "utt2genre": (f"{encode_key(r.key)} {genre(r.key, r.speaker)}" for r in _by_key(recordings)),
            "trials_eval": (line for _, line in numbered_lines(lists["trials.lst"])),
            "trials_concat": _with_joined(lists["trials.lst"], joined),
        },
        inputs=lists.values(),
    )


def _by_key(recordings: dict[str, Recording]) -> list[Recording]:
    return [
        recordings[key] for key in sorted(recordings, key=lambda key: encode_key(key).encode()) if "-enroll" not in key
    ]


def _joined(path: Path, recordings: dict[str, Recording]) -> dict[str, str]:
    """{model: key of the recording that joins its enrolment} of enroll.lst (`id00800-enroll enroll/...wav`)."""
    table: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) != 2:
            raise InputError(f"broken line {line[:60]!r}", f"{path}:{number}", "write `model recording` on every line")
        if fields[0] in table:
            raise InputError(f"a model listed twice {fields[0]!r}", f"{path}:{number}", "fetch the lists again")
        key = stem(fields[1])
        table[fields[0]] = key
        lines.setdefault(key, number)
    check_named(lines, recordings.keys(), path)
    return table


def _models(path: Path, data: Path, recordings: dict[str, Recording]) -> dict[str, str]:
    """{model: keys of its recordings} of enroll.map; the recordings, which lie below `data`, join `recordings`."""
    models: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in numbered_lines(path):
        model, *names = line.split()
        if not names:
            raise InputError(f"a model without recordings {model!r}", f"{path}:{number}", "write `model recording ...`")
        keys = [stem(name) for name in names]
        model = model if model.endswith("-enroll") else f"{model}-enroll"
        if model in models:
            raise InputError(f"a model listed twice {model!r}", f"{path}:{number}", "fetch the lists again")
        models[model] = " ".join(keys)
        for key in keys:
            lines.setdefault(key, number)
    if not models:
        raise InputError("an empty list", path, "fetch it again")
    speakers = {key.split("/")[0] for key in lines}
    there = {}
    for speaker in speakers:
        folder = data / speaker
        for name in media_below(folder, AUDIO) if folder.is_dir() else ():
            key = f"{speaker}/{stem(name)}"
            there[key] = _recording(key, f"{folder}/{name}", speaker)
    check_named(lines, there.keys(), path)
    recordings.update({key: there[key] for key in lines})
    return models


def _with_joined(path: Path, joined: dict[str, str]) -> Iterator[str]:
    """The trials with the joined recording in place of each model."""
    for number, line in numbered_lines(path):
        model, rest = line.split(maxsplit=1)
        if model not in joined:
            raise InputError(f"model '{model}' is not in enroll.lst", f"{path}:{number}", "fetch the lists again")
        yield f"{joined[model]} {rest}"
