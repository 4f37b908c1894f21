"""One run of `speakerkd score`: from lists and embeddings, or a model, to score files, results.json and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.data.datadir import read_table
from speakerkd.data.trials import TrialList, read_models, read_trials
from speakerkd.errors import InputError
from speakerkd.evaluation import calibration, results
from speakerkd.evaluation.calibration import Calibration
from speakerkd.evaluation.done import ScoreOrigin, current_entries, record_origin
from speakerkd.evaluation.embeddings import average_models, read_embeddings
from speakerkd.evaluation.fusion import mean_scores
from speakerkd.evaluation.norm import mean_embedding
from speakerkd.evaluation.score import mean_crops
from speakerkd.evaluation.scorefile import read_header, read_scores, write_scores
from speakerkd.evaluation.scorer import Placed, Scorer
from speakerkd.evaluation.settings import ScoreSettings, check
from speakerkd.evaluation.sources import Change, FileSource, ModelSource, Progress, Tables
from speakerkd.version import __version__
from speakerkd.work.files import digest, whole_file
from speakerkd.work.origin import identity


@dataclass(frozen=True, slots=True)
class Condition:
    """What is done to recordings before they are embedded: nothing, or noise of a category at a level in dB."""

    category: str = "clean"
    level: float | None = None

    def __str__(self) -> str:
        return self.category if self.level is None else f"{self.category}-{self.level:g}dB"


CLEAN = Condition()


@dataclass(slots=True)
class Scored:
    """A list that was scored: its name with protocol and back-end, its figures, and where its scores are.

    already: an earlier run did it, from the same inputs, with the same settings and code.
    """

    name: str
    trials: TrialList
    entry: dict[str, Any]
    path: Path
    condition: Condition = CLEAN
    already: bool = False

    @property
    def list(self) -> str:
        """The list's name, without protocol and back-end."""
        return _name(self.trials)


def score_lists(settings: ScoreSettings, progress: Callable[[str], Progress] | None = None) -> list[Scored]:
    """Score every list (under every noise), write the scores and `results.json`, and return the figures.

    Lists that an earlier run scored from the same inputs, with the same settings and code, are not scored again.

    Parameters
    ----------
    settings: lists, model or embeddings, protocol, back-end, noises and where the scores go.
    progress: called with a label, returns what is told recordings done and in all.

    Returns
    -------
    An entry a list and noise, in the order of the settings.

    Raises
    ------
    InputError: naming the list, line or recording that cannot be scored.
    """
    check(settings)
    if settings.scores and len(settings.trials) > 1:
        raise InputError("score files are of one list", "--trials", "fuse one list at a time")
    lists = [read_trials(path) for path in settings.trials]
    names = [_name(trials) for trials in lists]
    if len(set(names)) < len(names):
        raise InputError("two lists of one name", settings.trials[-1], "rename one: scores are filed under list names")

    development = read_trials(settings.calibrate) if settings.calibrate else None
    if development is not None:
        for trials in lists:
            calibration.refuse_test_list(development, trials)
    out, model = _where(settings)
    origin = ScoreOrigin(settings, model, [*lists, *([development] if development is not None else [])])
    conditions = _conditions(settings)
    done = {(t.path, c): _done_already(out, origin, t, c) for c in conditions for t in lists}
    if settings.calibrate and not settings.scores and not _has_calibration(settings, out):
        done = dict.fromkeys(done)
    left = {c: [t for t in lists if done[t.path, c] is None] for c in conditions}
    if any(left.values()):
        for one in _score(settings, lists, left, development, origin, out, progress):
            done[one.trials.path, one.condition] = one
    return [one for one in done.values() if one is not None]


def _where(settings: ScoreSettings) -> tuple[Path, Path | None]:
    """The folder that the scores go to, and that of the model where one makes the embeddings."""
    if settings.scores:
        return settings.out or Path("exp") / "fused", None
    if settings.embeddings:
        return settings.out or Path("exp") / settings.embeddings.stem, None
    from speakerkd.evaluation.model import find_model

    model = find_model(settings.model)
    return settings.out or model, model


def _has_calibration(settings: ScoreSettings, out: Path) -> bool:
    """Whether the calibration that such a run writes for `verify`, if it writes one, is there."""
    return not _for_verify(settings) or (out / "calibration.json").is_file()


def _for_verify(settings: ScoreSettings) -> bool:
    """Whether a calibration is one that `speakerkd verify` can apply to two recordings on their own."""
    return settings.norm == "none" and not settings.subtract_mean and not settings.quality


def _done_already(out: Path, origin: ScoreOrigin, trials: TrialList, condition: Condition) -> Scored | None:
    """A list whose scores and figures stand there as this run would make them."""
    record = origin.record(trials, str(condition))
    for name, entry in current_entries(out / "results.json", "scores", record).items():
        path = out / "scores" / f"{name}.txt"
        if entry["made"].get("scores") == identity(path):
            return Scored(name, trials, entry, path, condition, already=True)
    return None


def _score(
    settings: ScoreSettings,
    lists: list[TrialList],
    left: dict[Condition, list[TrialList]],
    development: TrialList | None,
    origin: ScoreOrigin,
    out: Path,
    progress: Callable[[str], Progress] | None,
) -> Iterator[Scored]:
    """Score what is left to do under each condition."""
    if settings.scores:
        yield _fuse(settings, lists, development, origin, out)
        return
    # the calibration is fitted on clean recordings, and holds for the noisy ones too
    source: FileSource | ModelSource
    if settings.embeddings:
        source = FileSource(settings, settings.embeddings, out)
    else:
        source = ModelSource(settings, progress, out)
    fitted = None
    clean = left.get(CLEAN, [])
    if clean or development is not None:
        scorer = _scorer(settings, source.tables([*clean, *([development] if development is not None else [])]))
        if development is not None:
            fitted = _fit(settings, source, scorer, development)
        for trials in clean:
            yield _score_list(settings, source, scorer, trials, origin, fitted=fitted)
    noisy = {condition: some for condition, some in left.items() if condition != CLEAN and some}
    if noisy and isinstance(source, ModelSource):  # `check` lets noise be added to audio alone
        add_noise = _noise_adder(settings, source.fbank.rate)
        for condition, some in noisy.items():
            scorer = _scorer(settings, source.tables(some, add_noise(condition), str(condition)))
            for trials in some:
                yield _score_list(settings, source, scorer, trials, origin, fitted=fitted, condition=condition)


def _name(trials: TrialList) -> str:
    """The list's file name without extension; dots part it from protocol and back-end, so it has none itself."""
    return trials.path.stem.replace(".", "_")


def _conditions(settings: ScoreSettings) -> list[Condition]:
    if settings.noise is None:
        return [CLEAN]
    return list(dict.fromkeys(Condition(category, level) for category in settings.category for level in settings.db))


def _noise_adder(settings: ScoreSettings, rate: int) -> Callable[[Condition], Change]:
    """What adds a condition's noise to samples at `rate` Hz."""
    from speakerkd.evaluation.noisy import NoiseAdder, open_bank
    from speakerkd.frontend.noise import FLOORS

    if settings.noise is None:
        raise ValueError("no noise is asked for")
    bank = open_bank(settings.noise, settings.category, settings.noise_seed, rate)
    floor = FLOORS[settings.level]

    def add(condition: Condition) -> NoiseAdder:
        assert condition.level is not None
        return NoiseAdder(bank, condition.category, condition.level, floor)

    return add


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
    placed = scorer.locate(development, settings.skip_missing)
    fitted = calibration.fit(
        scorer.scores(placed),
        placed.trials,
        scorer.qualities(placed, settings.quality),
        protocol=scorer.protocol.name,
        model=source.model_digest,
    )
    if _for_verify(settings):
        calibration.save_calibration(source.out / "calibration.json", fitted)
    return fitted


def _score_list(
    settings: ScoreSettings,
    source: FileSource | ModelSource,
    scorer: Scorer,
    trials: TrialList,
    origin: ScoreOrigin,
    *,
    fitted: Calibration | None,
    condition: Condition = CLEAN,
) -> Scored:
    """Score one list under one condition and write what came of it."""
    placed = scorer.locate(trials, settings.skip_missing)
    scores, kind = scorer.scores(placed), scorer.kind
    tags: list[str] = [scorer.protocol.name]
    header: dict[str, Any] = {
        "protocol": scorer.protocol,
        "kind": kind,
        "model": f"{source.model or 'not recorded'} {source.model_digest}".strip(),
        "data": source.data,
        "enrolment": f"{settings.enrol}, {settings.enrol_by}" if settings.enrol else "recordings",
    }
    if settings.subtract_mean:
        tags.append("centred")
        header["mean subtracted"] = settings.subtract_mean
    if settings.norm != "none" and scorer.cohort is not None:
        tags.append(settings.norm)
        nearest = f", {settings.top} nearest" if settings.norm == "as-norm" else ""
        header["normalisation"] = f"{settings.norm}, cohort {settings.cohort} ({len(scorer.cohort)}{nearest})"
    if condition != CLEAN:
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
    record = origin.record(trials, str(condition))
    done = _write(settings, source.out, placed, scores, {"name": name, **header}, record, utt2spk=source.utt2spk)
    done.condition = condition
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
    record: str,
    *,
    utt2spk: dict[str, str] | None = None,
) -> Scored:
    """Scores, DET points and the entry in results.json, under the header's `name`."""
    trials, name = placed.trials, header.pop("name")
    listed = {"list": f"{trials.path} {digest(trials.path)}", "trials": len(trials)}
    header = {"speakerkd": __version__, **listed, **header}
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
        results.write_det(path.with_suffix(".det"), scores, trials.known_label)
    entry["made"]["scores"] = identity(path)
    record_origin(record, {name: entry})
    results.update_results(out / "results.json", "scores", {name: entry})
    return Scored(name, trials, entry, path)


def _list_missing(path: Path, placed: Placed) -> None:
    """`recording<tab>reason` lines of what was skipped; an older list goes."""
    path.unlink(missing_ok=True)
    if placed.missing:
        with whole_file(path) as stream:
            stream.writelines(f"{name}\t{' '.join(reason.split())}\n" for name, reason in placed.missing.items())


def _fuse(
    settings: ScoreSettings, lists: list[TrialList], development: TrialList | None, origin: ScoreOrigin, out: Path
) -> Scored:
    """Mean of the given systems' scores, or their best weights on a development list."""
    trials = lists[0]
    columns = [read_scores(path, trials) for path in settings.scores]
    headers = [read_header(path) for path in settings.scores]
    kinds = [header.get("kind", "unknown") for header in headers]
    about = {
        "name": f"{_name(trials)}.fused" if len(columns) > 1 else settings.scores[0].stem,
        "protocol": " and ".join(header.get("protocol", "not recorded") for header in headers),
        "model": " and ".join(header.get("model", "not recorded") for header in headers),
        "data": ", ".join(f"{path} {digest(path)}" for path in settings.scores),
    }
    placed = Placed(trials, trials.enrol, trials.test)
    record = origin.record(trials, str(CLEAN))
    if development is None:
        scores, kind = mean_scores(columns, kinds) if len(columns) > 1 else (columns[0], kinds[0])
        return _write(settings, out, placed, scores, about | {"kind": kind}, record)
    if len(settings.development_scores) != len(settings.scores):
        what = f"{len(settings.development_scores)} score files of the development list for {len(columns)} systems"
        raise InputError(what, "--development-scores", "give one for each of --scores, in the same order")
    known = np.column_stack([read_scores(path, development) for path in settings.development_scores])
    fitted = calibration.fit(known, development, protocol="fusion")
    about |= {"name": about["name"] + ".calibrated", "kind": "llr", "calibration": _description(fitted)}
    return _write(settings, out, placed, fitted.apply(np.column_stack(columns)), about, record)
