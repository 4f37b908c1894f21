"""Where the features of test recordings come from: an archive, or audio files (as they are, or with noise)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.archive import FeatureArchive
from speakerkd.data.datadir import read_table
from speakerkd.errors import InputError
from speakerkd.frontend.fbank import FbankSettings
from speakerkd.work.records import read_json

AUDIO = (".wav", ".flac", ".m4a", ".mp4", ".ogg", ".opus", ".mp3", ".aac", ".sph", ".webm")


class Recordings(Interface):
    """N recordings by key; `features(i)` is the Fbank (T, F) float32 of one, or raises InputError."""

    keys: list[str]

    def features(self, place: int) -> NDArray[np.float32]: ...

    def __str__(self) -> str: ...


class ArchivedRecordings:
    """Recordings whose features are in a data directory's feats.scp."""

    def __init__(self, scp: Path | str, settings: FbankSettings) -> None:
        self.archive = FeatureArchive(scp)
        self.keys = self.archive.keys
        if self.archive.dim != settings.mels:
            what = f"features of {self.archive.dim} bands, the model reads {settings.mels}"
            raise InputError(what, scp, f"make them again with `speakerkd fbank --mels {settings.mels}`")
        _check_settings(Path(scp).with_name("feats.json"), settings)

    def features(self, place: int) -> NDArray[np.float32]:
        return self.archive.whole(place)

    def __str__(self) -> str:
        return str(self.archive.scp)


def _check_settings(record: Path, settings: FbankSettings) -> None:
    """Raises InputError where features were made with other settings than a model's."""
    if not record.is_file():
        return
    theirs = read_json(record, dict[str, Any], "run `speakerkd fbank` again")
    wanted = settings.model_dump()
    other = {name: value for name, value in theirs.items() if name in wanted and wanted[name] != value}
    if other:
        name, value = next(iter(other.items()))
        what = f"features made with {name} {value}, the model reads {name} {wanted[name]}"
        raise InputError(what, record, "make them again with the model's settings, `speakerkd fbank --set`")


class AudioRecordings:
    """Recordings read from audio files, several in a row where a model is enrolled from concatenated audio.

    files: {key: paths}. change: called with key and samples (N,), returns samples; adds noise.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[Path | str]],
        settings: FbankSettings,
        change: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] | None = None,
        name: str = "audio",
    ) -> None:
        self.keys = list(files)
        self._files = list(files.values())
        self.settings, self.change, self.name = settings, change, name

    def features(self, place: int) -> NDArray[np.float32]:
        import torch

        from speakerkd.frontend.audio import read_audio
        from speakerkd.frontend.fbank import fbank

        samples = np.concatenate([read_audio(path, self.settings.rate) for path in self._files[place]])
        if self.change is not None:
            samples = self.change(self.keys[place], samples)
        if len(samples) < self.settings.window_size:
            what = f"{len(samples)} samples, less than one window"
            source = self._files[place][0]
            where = source if isinstance(source, str | Path) else self.keys[place]
            raise InputError(what, where, "leave the recording out")
        return fbank(torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None], self.settings)[0].numpy()

    def __str__(self) -> str:
        return self.name


def audio_under(root: Path | str, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Audio files of names under a folder, with or without a usual extension; and the names that have none."""
    root = Path(root)
    if not root.is_dir():
        raise InputError("no such folder of recordings", root, "give the folder that the list's paths start from")
    found, missing = {}, []
    for name in names:
        path = root / name
        if path.is_file():
            found[name] = path
            continue
        stem = path.with_suffix("") if path.suffix.lower() in AUDIO else path
        other = next((p for e in AUDIO if (p := stem.with_name(stem.name + e)).is_file()), None)
        if other is None:
            missing.append(name)
        else:
            found[name] = other
    return found, missing


def audio_in(directory: Path | str, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Audio files of names from a data directory's wav.scp; and names that are not in it."""
    from speakerkd.evaluation.embeddings import Embeddings

    table = read_table(Path(directory) / "wav.scp")
    keys = list(table)
    rows = Embeddings(keys, np.empty((len(keys), 0))).locate(names)
    found = {name: Path(table[keys[row]]) for name, row in zip(names, rows.tolist(), strict=True) if row >= 0}
    return found, [name for name, row in zip(names, rows.tolist(), strict=True) if row < 0]
