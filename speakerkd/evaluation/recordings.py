"""Where the features of recordings come from: an archive, else audio (as it is, or with noise)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.archive import FeatureArchive
from speakerkd.data.names import NameIndex, decoded
from speakerkd.data.sounds import Sound, read_sounds
from speakerkd.errors import InputError
from speakerkd.frontend.fbank import FbankSettings
from speakerkd.frontend.truncation import Truncated
from speakerkd.work.records import read_json

log = logging.getLogger(__name__)


class Recordings(Interface):
    """N recordings by key; `features(i)` is the Fbank (T, F) float32 of one, or raises InputError."""

    keys: list[str]

    def features(self, position: int) -> NDArray[np.float32]: ...

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

    def features(self, position: int) -> NDArray[np.float32]:
        return self.archive.whole(position)

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
    """Recordings read from audio, several in a row where a model is enrolled from concatenated audio.

    sounds: {key: its sounds, or whatever else `read_audio` takes}. change: called with key and samples (N,), returns
    samples; adds noise. truncated: whether one of which a part is missing is refused, or kept with a warning. vad:
    leave out what is not speech, before that.
    """

    def __init__(
        self,
        sounds: Mapping[str, Sequence[Any]],
        settings: FbankSettings,
        change: Callable[[str, NDArray[np.float32]], NDArray[np.float32]] | None = None,
        name: str = "audio",
        truncated: Truncated = "refuse",
        vad: bool = False,
    ) -> None:
        self.keys = list(sounds)
        self._sounds = list(sounds.values())
        self.settings, self.change, self.name, self.truncated, self.vad = settings, change, name, truncated, vad

    def features(self, position: int) -> NDArray[np.float32]:
        import torch

        from speakerkd.frontend.fbank import fbank

        samples = np.concatenate([self._heard(one, self.keys[position]) for one in self._sounds[position]])
        if self.change is not None:
            samples = self.change(self.keys[position], samples)
        if len(samples) < self.settings.window_size:
            what = f"{len(samples)} samples, less than one window"
            source = self._sounds[position][0]
            where = source if isinstance(source, str | Path | Sound) else self.keys[position]
            raise InputError(what, where, "leave the recording out")
        return fbank(torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None], self.settings)[0].numpy()

    def _heard(self, one: Any, key: str) -> NDArray[np.float32]:
        """The samples of a sound, or of whatever else `read_audio` takes."""
        from speakerkd.frontend.audio import read_recording
        from speakerkd.frontend.sounds import record_sound

        read = record_sound if isinstance(one, Sound) else read_recording
        recorded = read(one, self.settings.rate, truncated=self.truncated, vad=self.vad)
        if recorded.missing:
            log.warning("%s: truncated and kept, %.2f s missing", key, recorded.missing)
        return recorded.samples

    def __str__(self) -> str:
        return self.name


def open_recordings(
    directory: Path | str, settings: FbankSettings, truncated: Truncated = "refuse", vad: bool = False
) -> ArchivedRecordings | AudioRecordings:
    """All recordings of a data directory: what its feats.scp holds, else what its wav.scp (and segments) name.

    Parameters
    ----------
    settings: of the features that the model reads.
    truncated: what becomes of a recording that ends early.
    vad: what is not speech is left out, which takes the recordings themselves.

    Raises
    ------
    InputError: where it has neither, and for features made with other settings.
    """
    directory = Path(directory)
    if (directory / "feats.scp").exists() and not vad:
        return ArchivedRecordings(directory / "feats.scp", settings)
    if not (directory / "wav.scp").exists():
        fix = "make it with `speakerkd prepare` and `speakerkd fbank`"
        what = "no wav.scp, whose recordings --vad hears" if vad else "neither feats.scp nor wav.scp"
        raise InputError(what, directory, fix)
    sounds = {key: [sound] for key, sound in read_sounds(directory).items()}
    return AudioRecordings(sounds, settings, name=str(directory), truncated=truncated, vad=vad)


def audio_in(directory: Path | str, names: Sequence[str]) -> tuple[dict[str, Sound], dict[str, str]]:
    """{name: its sound} from a data directory's wav.scp (and segments), and {name: why it has none}."""
    sounds = read_sounds(directory)
    index = NameIndex(list(sounds))
    sound_of, reasons = {}, {}
    for name, position in zip(names, index.locate(names).tolist(), strict=True):
        if position < 0:
            reasons[name] = index.explain(name) or f"no such recording in {directory}"
        else:
            sound_of[name] = sounds[index.keys[position]]
    return sound_of, reasons


def audio_under(root: Path | str, names: Sequence[str]) -> tuple[dict[str, Sound], dict[str, str]]:
    """{name: its sound} of names that are paths below a folder, and {name: why it has none}.

    Each folder and file on the way is found by any spelling of its name (see `NameIndex`). A name that leads out of the
    folder is not followed. Raises InputError where there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("no such folder of recordings", root, "give the folder that the list's paths start from")
    listed: dict[Path, NameIndex] = {}
    sound_of, reasons = {}, {}
    for name in names:
        if name.startswith("/"):
            reasons[name] = f"an absolute path, where names begin below {root}"
            continue
        if ".." in decoded(name).split("/") or "\0" in name:
            reasons[name] = f"the name leads out of {root}"
            continue
        path: Path | None = root / name
        if not os.path.isfile(root / name):
            path, why = _resolve(root, name, listed)
            if path is None:
                reasons[name] = why or f"no such recording under {root}"
                continue
        sound_of[name] = Sound(str(path))
    return sound_of, reasons


def _resolve(root: Path, name: str, listed: dict[Path, NameIndex]) -> tuple[Path | None, str]:
    """The file below `root` that a name means, one folder after another; `listed` keeps what was seen of each."""
    path = root
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if path not in listed:
            try:
                listed[path] = NameIndex(sorted(os.listdir(path)))
            except OSError:
                return None, ""
        position = listed[path].find(part)
        if position < 0:
            return None, listed[path].explain(part)
        path = path / listed[path].keys[position]
    return (path if path.is_file() else None), ""
