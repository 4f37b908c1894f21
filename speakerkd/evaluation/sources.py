"""Where the embeddings of a list's two sides come from: a file, or a model and recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.names import NameIndex
from speakerkd.data.tables import read_table
from speakerkd.data.trials import TrialList, read_models
from speakerkd.errors import InputError
from speakerkd.evaluation.embeddings import Embeddings, average_models, read_embeddings
from speakerkd.evaluation.protocol import Protocol, protocol_of
from speakerkd.evaluation.recordings import (
    ArchivedRecordings,
    AudioRecordings,
    audio_in,
    audio_under,
    open_recordings,
)
from speakerkd.evaluation.settings import ScoreSettings
from speakerkd.work.files import digest

if TYPE_CHECKING:
    from speakerkd.models.trained_model import TrainedModel

Progress = Callable[[int, int], None]
Change = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]


@dataclass(slots=True)
class Tables:
    """Embeddings of the enrolment side and of the test side, and why recordings have none."""

    enrol: Embeddings
    test: Embeddings
    protocol: Protocol
    reasons: dict[str, str] = field(default_factory=dict)


class FileSource:
    """Embeddings from a file."""

    def __init__(self, settings: ScoreSettings, path: Path, out: Path) -> None:
        self.settings, self.out = settings, out
        self.embeddings = read_embeddings(path)
        self.protocol = protocol_of(self.embeddings, settings.protocol, path)
        origin = self.embeddings.origin
        self.model, self.model_digest = str(origin.get("model", "")), str(origin.get("digest", ""))
        self.data = f"{path} {digest(path)}"
        self.utt2spk: dict[str, str] | None = None

    def tables(self, lists: Sequence[TrialList]) -> Tables:
        enrol = self.embeddings
        if self.settings.enrol:
            enrol = _enrolled(self.settings, read_models(self.settings.enrol), lists, self.embeddings)
        return Tables(enrol, self.embeddings, self.protocol)


class ModelSource:
    """Embeddings that a model makes of the lists' recordings, and of no others."""

    def __init__(self, settings: ScoreSettings, progress: Callable[[str], Progress] | None, out: Path) -> None:
        from speakerkd.evaluation.model import fbank_settings, load_speaker_model

        self.settings, self.progress, self.out = settings, progress, out
        self.package: TrainedModel = load_speaker_model(settings.model, settings.device)
        self.fbank = fbank_settings(self.package)
        self.protocol = Protocol(name=settings.protocol or self.package.protocol)
        self.model, self.model_digest = str(self.package.directory), self.package.digest
        self.data = str(settings.data or settings.audio_root)
        table = settings.data and settings.data / "utt2spk"
        self.utt2spk = read_table(table) if table and table.is_file() else None

    def tables(self, lists: Sequence[TrialList], change: Change | None = None, label: str = "embedding") -> Tables:
        models = read_models(self.settings.enrol) if self.settings.enrol else None
        tests = _names(trials.test_names for trials in lists)
        enrolled = _names(trials.enrol_names for trials in lists)
        reasons: dict[str, str] = {}
        if models is None:
            listed = self.settings.data and self.settings.data / "enroll.map"
            if listed and listed.is_file():
                hint = f"it is a model of {listed}, add --enrol {listed}"
                reasons |= dict.fromkeys(read_models(listed).keys() & set(enrolled), hint)
            both = self._embed({name: [name] for name in _names([enrolled, tests])}, change, label, reasons)
            return Tables(both, both, self.protocol, reasons)
        used = {model: models[model] for model in enrolled if model in models}
        if self.settings.enrol_by == "concatenate":
            enrol = self._embed(used, change, label + " (enrolment)", reasons)
            test = self._embed({name: [name] for name in tests}, change, label, reasons)
            return Tables(enrol, test, self.protocol, reasons)
        names = _names([*used.values(), tests])
        test = self._embed({name: [name] for name in names}, change, label, reasons)
        return Tables(_enrolled(self.settings, used, lists, test), test, self.protocol, reasons)

    def _embed(
        self, wanted: dict[str, list[str]], change: Change | None, label: str, reasons: dict[str, str]
    ) -> Embeddings:
        """Embed {key: recordings, concatenated}; what cannot be embedded is left out, with its reason."""
        from speakerkd.evaluation.embed import embed

        data = self.settings.data
        names = _names(wanted.values())
        if data and change is None and all(len(parts) == 1 for parts in wanted.values()):
            recordings: ArchivedRecordings | AudioRecordings = open_recordings(
                data, self.fbank, self.settings.truncated
            )
            index = NameIndex(recordings.keys)
            rows = index.locate(names)
            absent = (name for name, row in zip(names, rows.tolist(), strict=True) if row < 0)
            why = {name: index.explain(name) or f"no such recording in {recordings}" for name in absent}
            places = list(dict.fromkeys(rows[rows >= 0].tolist()))
        else:
            sounds, why = audio_in(data, names) if data else audio_under(self.settings.audio_root or ".", names)
            whole = {key: [sounds[n] for n in ns] for key, ns in wanted.items() if all(n in sounds for n in ns)}
            recordings = AudioRecordings(whole, self.fbank, change, self.data, self.settings.truncated)
            places = list(range(len(whole)))
        reasons |= {name: reason for name, reason in why.items() if name not in reasons}

        def refuse(key: str, error: InputError) -> None:
            reasons[key] = str(error)

        report = self.progress(label) if self.progress else None
        return embed(self.package, recordings, self.protocol, places=places, refuse=refuse, progress=report)


def _names(sides: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for side in sides for name in side))


def _enrolled(
    settings: ScoreSettings, models: dict[str, list[str]], lists: Sequence[TrialList], recordings: Embeddings
) -> Embeddings:
    """One embedding for each model that the lists name; with skip_missing, of its recordings that are there."""
    wanted = _names(trials.enrol_names for trials in lists)
    used = {model: models[model] for model in wanted if model in models}
    if settings.skip_missing:
        there = {n for ns in used.values() for n, row in zip(ns, recordings.locate(ns), strict=True) if row >= 0}
        used = {model: kept for model, names in used.items() if (kept := [n for n in names if n in there])}
    if not used:
        raise InputError("no model of the list is among the enrolment models", settings.enrol, "check the file")
    return average_models(used, recordings, settings.enrol)
