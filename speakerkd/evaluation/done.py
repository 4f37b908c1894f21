"""Which figures of `results.json` stand there already as a call would make them: same inputs, settings and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speakerkd.data.datadir import read_table
from speakerkd.data.trials import TrialList, read_models
from speakerkd.errors import InputError
from speakerkd.evaluation.recordings import audio_under
from speakerkd.evaluation.settings import ScoreSettings
from speakerkd.report.results_file import read_results_file
from speakerkd.work.origin import origin, origin_digest, signature

MODEL = ("model.json", "model.safetensors")
TABLES = (
    "wav.scp",
    "segments",
    "feats.scp",
    "feats.scp.made.json",
    "feats.json",
    "utt2spk",
    "spk2gender",
    "enroll.map",
)
EMBEDDINGS = (".json", ".ark", ".utt2dur")  # what lies beside embeddings in Kaldi's form
PLACES = ("trials", "out", "model", "data", "audio_root", "noise")  # settings that name what has a rule of its own
OWN = {*PLACES, "device", "category", "db"}  # no part of what common settings say


def current_entries(path: Path | str, section: str, record: str) -> dict[str, Any]:
    """The entries of a section that were made from this record, by name; {} where one of them is no longer there."""
    if not Path(path).is_file():
        return {}
    try:
        entries = read_results_file(path).get(section, {})
    except InputError:  # said when the new figures are to be written beside the old ones
        return {}
    current = {name: entry for name, entry in entries.items() if entry.get("made", {}).get("record") == record}
    if any(entry["made"].get("entries") != len(current) for entry in current.values()):
        return {}
    return dict(sorted(current.items(), key=lambda item: item[1]["made"].get("place", 0)))


def record_origin(record: str, entries: Mapping[str, dict[str, Any]]) -> None:
    """Write into the entries of one call what they were made from, how many they are, and the place of each."""
    for number, entry in enumerate(entries.values()):
        entry["made"] = {**entry.get("made", {}), "record": record, "entries": len(entries), "place": number}


def files_of_model(directory: Path | str) -> list[Path]:
    """The files of an experiment directory that figures depend on."""
    return [Path(directory) / name for name in MODEL]


def files_of_data(directory: Path | str) -> list[Path]:
    """The tables of a data directory that figures depend on; `feats.scp.made.json` stands for features and audio."""
    return [Path(directory) / name for name in TABLES]


def state_of_recordings(directory: Path | str, features: bool) -> str:
    """The recordings of a data directory as they are now, where no record of their features stands for them.

    features: they are what is read, if there are any.
    """
    directory = Path(directory)
    if features and (directory / "feats.scp.made.json").is_file():
        return ""
    if features and (directory / "feats.scp").is_file():
        arks = {location.rpartition(":")[0] for location in read_table(directory / "feats.scp").values()}
        return signature(sorted(arks))
    return signature(sorted(read_table(directory / "wav.scp").values()))


class ScoreOrigin:
    """What the lists of one `score` are made from; `record` gives it of one list under one condition."""

    def __init__(self, settings: ScoreSettings, model: Path | None, lists: Sequence[TrialList]) -> None:
        files = {name: _paths(value) for name, value in settings if name not in PLACES}
        common = settings.model_dump(mode="json", exclude={*OWN, *(name for name, paths in files.items() if paths)})
        common |= {"recordings": _recordings(settings, lists), "files": {n: len(paths) for n, paths in files.items()}}
        if settings.noise is not None:
            common["noises"] = signature(sorted(settings.noise.rglob("*.wav")))
        inputs = [path for paths in files.values() for path in paths]
        inputs += files_of_model(model) if model is not None else []
        inputs += files_of_data(settings.data) if settings.data else []
        self._common = origin(inputs, common)

    def record(self, trials: TrialList, condition: str) -> str:
        """The digest of all that a list's scores and figures are made from."""
        return origin_digest([trials.path], {"common": self._common, "condition": condition})


def _paths(value: Any) -> list[Path]:
    """The files that a setting names, with what lies beside archives of embeddings."""
    paths = [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, Path)]
    beside = [path.with_suffix(suffix) for path in paths if path.suffix in (".ark", ".scp") for suffix in EMBEDDINGS]
    return [*paths, *beside]


def _recordings(settings: ScoreSettings, lists: Sequence[TrialList]) -> str:
    if settings.data:
        return state_of_recordings(settings.data, settings.noise is None and settings.enrol_by != "concatenate")
    if settings.audio_root:
        names = {name for trials in lists for side in (trials.enrol_names, trials.test_names) for name in side}
        if settings.enrol:
            names = {*names, *(name for recordings in read_models(settings.enrol).values() for name in recordings)}
        sounds, _ = audio_under(settings.audio_root, sorted(names))
        return signature(sorted(sound.path for sound in sounds.values()))
    return ""
