"""Copies of a data directory whose features are of changed recordings; no sound is written to disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speakerkd.data.datadir import read_table, require_file, write_datadir
from speakerkd.errors import InputError
from speakerkd.frontend.augment import Augmentation, SpeedStep, Step, copies, responses
from speakerkd.frontend.extract import AUGMENT, extract_fbank, read_augmentation
from speakerkd.frontend.fbank import FbankSettings
from speakerkd.frontend.noise import Level
from speakerkd.work.files import write_json
from speakerkd.work.records import read_json


def augment_directory(
    directory: Path | str,
    *,
    musan: Path | None = None,
    rirs: Path | None = None,
    speeds: Sequence[float] = (),
    seed: int = 0,
    level: Level = "exact",
    jobs: int = 1,
    cluster: str | None = None,
    max_rejected: float = 0.01,
) -> dict[Path, str]:
    """Make `<directory>_noise`, `_music`, `_babble`, `_reverb` and `_sp0.9`: {directory: its account}.

    Those of noise and rooms have the same utterances and lengths: `data.copies` of a training config draws between
    them. Those of speeds hold new speakers `sp0.9-<speaker>` under new keys, for `data.train` beside the original;
    they have no teacher, since the face is of another voice. Their features are made with the original's settings.
    A copy of a copy goes through both changes. A second run makes what is missing. Raises InputError where the
    directory has no features, or nothing is asked for.
    """
    directory = Path(directory)
    wanted: dict[str, Sequence[Step]] = copies(musan, rirs, seed, level)
    wanted |= {f"sp{factor:g}": [SpeedStep(factor=factor)] for factor in speeds}
    if not wanted:
        what = f"no noise, music or speech in {musan}" if musan else "nothing to do"
        raise InputError(what, directory, "give --musan DIR, --rirs DIR or --speeds 0.9 1.1")
    if rirs is not None:
        responses(str(rirs.absolute()))
    if not (directory / "feats.json").is_file():
        raise InputError(
            "no features to make copies of", directory / "feats.json", "make them with `speakerkd fbank` first"
        )
    known = read_json(directory / "feats.json", FbankSettings, "run `speakerkd fbank` again")
    require_file(directory, "utt2spk")
    before = read_augmentation(directory)
    accounts = {}
    for name, steps in wanted.items():
        output = directory.with_name(f"{directory.name}_{name}")
        _write(directory, output, name, Augmentation(steps=[*(before.steps if before else []), *steps]))
        accounts[output] = str(extract_fbank(output, known, jobs=jobs, cluster=cluster, max_rejected=max_rejected))
    return accounts


def _write(directory: Path, output: Path, name: str, augmentation: Augmentation) -> None:
    """The tables of a copy, where they are not there or not of today's original."""
    prefix = f"{name}-" if isinstance(augmentation.steps[-1], SpeedStep) else ""
    tables = {}
    cut = (directory / "segments").is_file()  # the utterances are then its lines, and wav.scp names whole recordings
    for table in ("wav.scp", "segments", "utt2spk", "utt2session"):
        if (directory / table).is_file():
            rows = read_table(directory / table)
            before = "" if cut and table == "wav.scp" else prefix
            tables[table] = {f"{before}{key}": value for key, value in rows.items()}
            if prefix and table in ("utt2spk", "utt2session"):
                tables[table] = {key: f"{prefix}{value}" for key, value in tables[table].items()}
    if (directory / "spk2gender").is_file():
        genders = read_table(directory / "spk2gender")
        tables["spk2gender"] = {f"{prefix}{speaker}": gender for speaker, gender in genders.items()}
    if not output.is_dir() or any(
        not (output / table).is_file() or read_table(output / table) != content for table, content in tables.items()
    ):
        write_datadir(output, tables)
    write_json(output / AUGMENT, augmentation.model_dump(mode="json"))
