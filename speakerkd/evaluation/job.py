"""One run of `speakerkd score`: from lists and embeddings, or a model, to score files, results.json and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import speakerkd
from speakerkd.data.datadir import read_table
from speakerkd.data.trials import TrialList, read_models, read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation import calibration, results
from speakerkd.evaluation.calibration import Calibration
from speakerkd.evaluation.embeddings import average_models, read_embeddings
from speakerkd.evaluation.fusion import mean_scores
from speakerkd.evaluation.norm import mean_embedding
from speakerkd.evaluation.score import mean_crops
from speakerkd.evaluation.scorefile import read_header, read_scores, write_scores
from speakerkd.evaluation.scorer import Placed, Scorer
from speakerkd.evaluation.settings import ScoreSettings, check
from speakerkd.evaluation.sources import Change, FileSource, ModelSource, Progress, Tables
from speakerkd.work.files import digest, whole_file


@dataclass(frozen=True, slots=True)
class Condition:
    """What is done to recordings before they are embedded: nothing, or noise of a category at a level in dB."""

    category: str = "clean"
    level: float | None = None
    change: Change | None = None

    def __str__(self) -> str:
        return self.category if self.level is None else f"{self.category}-{self.level:g}dB"


@dataclass(slots=True)
class Scored:
    """A list that was scored: its name with protocol and back-end, its figures, and where its scores are."""

    name: str
    list: str
    entry: dict[str, Any]
    path: Path
    condition: Condition = field(default_factory=Condition)


def score_lists(settings: ScoreSettings, progress: Callable[[str], Progress] | None = None) -> list[Scored]:
    """Score every list (under every noise), write the scores and `results.json`, and return the figures.

    progress: called with a label, returns what is told recordings done and in all. Raises InputError.
    """
    check(settings)
    lists = [read_trials(path) for path in settings.trials]
    names = [_name(trials) for trials in lists]
    if len(set(names)) < len(names):
        raise InputError("two lists of one name", settings.trials[-1], "rename one: scores are filed under list names")

    development = read_trials(settings.calibrate) if settings.calibrate else None
    if development is not None:
        for trials in lists:
            calibration.refuse_test_list(development, trials)
    if settings.scores:
        return _fuse(settings, lists, development)

    # the calibration is fitted on clean recordings, and holds for the noisy ones too
    source = FileSource(settings, settings.embeddings) if settings.embeddings else ModelSource(settings, progress)
    clean: list[TrialList] = [] if settings.noise else list(lists)
    done, fitted = [], None
    if clean or development is not None:
        scorer = _scorer(settings, source.tables([*clean, *([development] if development is not None else [])]))
        if development is not None:
            fitted = _fit(settings, source, scorer, development)
        done += [_score_list(settings, source, scorer, trials, fitted=fitted) for trials in clean]

    for condition in _noises(settings, source):
        scorer = _scorer(settings, source.tables(lists, condition.change, str(condition)))
        done += [_score_list(settings, source, scorer, trials, fitted=fitted, condition=condition) for trials in lists]
    return done


def _name(trials: TrialList) -> str:
    """The list's file name without extension; dots part it from protocol and back-end, so it has none itself."""
    return trials.path.stem.replace(".", "_")


def _noises(settings: ScoreSettings, source: FileSource | ModelSource) -> Iterator[Condition]:
    if settings.noise is None:
        return
    from speakerkd.evaluation.noisy import NoiseAdder, open_bank
    from speakerkd.frontend.noise import FLOORS

    bank = open_bank(settings.noise, settings.category, settings.noise_seed, source.fbank.rate)
    for category in settings.category:
        for db in settings.db:
            yield Condition(category, db, NoiseAdder(bank, category, db, FLOORS[settings.level]))


def _scorer(settings: ScoreSettings, tables: Tables) -> Scorer:
    mean = cohort = None
    size = tables.test.values.shape[-1]
    if settings.subtract_mean:
        mean = _of_size(size, mean_embedding(read_embeddings(settings.subtract_mean).values), settings.subtract_mean)
    if settings.cohort:
        others = read_embeddings(settings.cohort)
        if settings.cohort_speakers:
            others = average_models(read_models(settings.cohort_speakers), others, settings.cohort_speakers)
        cohort = others.values if others.values.ndim == 2 else mean_crops(others.values)
        cohort = _of_size(size, cohort, settings.cohort)
    return Scorer(
        tables.protocol,
        tables.enrol,
        tables.test,
        mean=mean,
        norm=settings.norm,
        cohort=cohort,
        top=settings.top,
        reasons=tables.reasons,
    )


def _of_size(size: int, values: NDArray, path: Path) -> NDArray:
    if values.shape[-1] != size:
        what = f"embeddings of size {values.shape[-1]}, those of the list have {size}"
        raise InputError(what, path, "give embeddings of the same model")
    return values


def _fit(
    settings: ScoreSettings, source: FileSource | ModelSource, scorer: Scorer, development: TrialList
) -> Calibration:
    placed = scorer.place(development, settings.skip_missing)
    fitted = calibration.fit(
        scorer.scores(placed),
        placed.trials,
        scorer.qualities(placed, settings.quality),
        protocol=scorer.protocol.name,
        model=source.model_digest,
    )
    if scorer.norm == "none" and not settings.subtract_mean and not settings.quality:
        # what `speakerkd verify` can apply to two recordings on their own
        calibration.save_calibration(source.out / "calibration.json", fitted)
    return fitted


def _score_list(
    settings: ScoreSettings,
    source: FileSource | ModelSource,
    scorer: Scorer,
    trials: TrialList,
    *,
    fitted: Calibration | None,
    condition: Condition | None = None,
) -> Scored:
    """Score one list under one condition and write what came of it."""
    placed = scorer.place(trials, settings.skip_missing)
    scores, kind = scorer.scores(placed), scorer.kind
    tags = [scorer.protocol.name]
    header = {
        "protocol": scorer.protocol,
        "kind": kind,
        "model": f"{source.model or 'not recorded'} {source.model_digest}".strip(),
        "data": source.data,
        "enrolment": f"{settings.enrol}, {settings.enrol_by}" if settings.enrol else "recordings",
    }
    if settings.subtract_mean:
        tags.append("centred")
        header["mean subtracted"] = settings.subtract_mean
    if settings.norm != "none":
        tags.append(settings.norm)
        nearest = f", {settings.top} nearest" if settings.norm == "as-norm" else ""
        header["normalisation"] = f"{settings.norm}, cohort {settings.cohort} ({len(scorer.cohort)}{nearest})"
    if condition is not None:
        tags.append(str(condition))
        header["noise"] = f"{settings.noise}, {condition}, seed {settings.noise_seed}, {settings.level} level"
    if fitted is not None:
        scores, kind = fitted.apply(scores, scorer.qualities(placed, settings.quality)), "llr"
        tags.append("calibrated")
        header |= {"kind": kind, "calibration": _description(fitted)}
    if placed.same_trials:
        header["same recording"] = f"{placed.same_trials} trials compare a recording with itself"
    if placed.missing_trials:
        header["skipped"] = f"{placed.missing_trials} trials of {len(placed.missing)} missing recordings"
    name = ".".join([_name(trials), *tags])
    done = _write(settings, source.out, placed, scores, {"name": name, **header}, utt2spk=source.utt2spk)
    done.condition = condition or Condition()
    return done


def _description(fitted: Calibration) -> str:
    measures = f", quality {' '.join(fitted.qualities)}" if fitted.qualities else ""
    return f"logistic regression on {fitted.development} {fitted.digest}, {fitted.trials} trials{measures}"


def _write(
    settings: ScoreSettings,
    out: Path,
    placed: Placed,
    scores: NDArray,
    header: dict[str, Any],
    *,
    utt2spk: dict[str, str] | None = None,
) -> Scored:
    """Scores, DET points and the entry in results.json, under the header's `name`."""
    trials, name = placed.trials, header.pop("name")
    listed = {"list": f"{trials.path} {digest(trials.path)}", "trials": len(trials)}
    header = {"speakerkd": speakerkd.__version__, **listed, **header}
    path = out / "scores" / f"{name}.txt"
    write_scores(path, trials, scores, header)
    _list_missing(path.with_suffix(".missing"), placed)
    entry = results.figures(
        scores,
        trials,
        priors=settings.prior,
        false_accepts=settings.false_accept,
        replicates=settings.bootstrap,
        seed=settings.seed,
        utt2spk=utt2spk,
    )
    if settings.by is not None:
        entry["groups"] = results.by_group(scores, trials, read_table(settings.by))
    entry |= {"missing_recordings": len(placed.missing), "missing_trials": placed.missing_trials}
    entry |= {"made": {key: str(value) for key, value in header.items() if key != "trials"}}
    if "undefined" not in entry:
        results.write_det(path.with_suffix(".det"), scores, trials.label)
    results.update_results(out / "results.json", "scores", {name: entry})
    return Scored(name, _name(trials), entry, path)


def _list_missing(path: Path, placed: Placed) -> None:
    """`recording<tab>reason` lines of what was skipped; an older list goes."""
    path.unlink(missing_ok=True)
    if placed.missing:
        with whole_file(path) as stream:
            stream.writelines(f"{name}\t{' '.join(reason.split())}\n" for name, reason in placed.missing.items())


def _fuse(settings: ScoreSettings, lists: list[TrialList], development: TrialList | None) -> list[Scored]:
    """Mean of the given systems' scores, or their best weights on a development list."""
    if len(lists) > 1:
        raise InputError("score files are of one list", "--trials", "fuse one list at a time")
    trials = lists[0]
    out = settings.out or Path("exp") / "fused"
    columns = [read_scores(path, trials) for path in settings.scores]
    headers = [read_header(path) for path in settings.scores]
    kinds = [header.get("kind", "unknown") for header in headers]
    made = {
        "name": f"{_name(trials)}.fused" if len(columns) > 1 else settings.scores[0].stem,
        "protocol": " and ".join(header.get("protocol", "not recorded") for header in headers),
        "model": " and ".join(header.get("model", "not recorded") for header in headers),
        "data": ", ".join(f"{path} {digest(path)}" for path in settings.scores),
    }
    placed = Placed(trials, trials.enrol, trials.test)
    if development is None:
        scores, kind = mean_scores(columns, kinds) if len(columns) > 1 else (columns[0], kinds[0])
        return [_write(settings, out, placed, scores, made | {"kind": kind})]
    if len(settings.development_scores) != len(settings.scores):
        what = f"{len(settings.development_scores)} score files of the development list for {len(columns)} systems"
        raise InputError(what, "--development-scores", "give one for each of --scores, in the same order")
    known = np.column_stack([read_scores(path, development) for path in settings.development_scores])
    fitted = calibration.fit(known, development, protocol="fusion")
    made |= {"name": made["name"] + ".calibrated", "kind": "llr", "calibration": _description(fitted)}
    return [_write(settings, out, placed, fitted.apply(np.column_stack(columns)), made)]
