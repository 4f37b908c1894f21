"""The settings of a scoring run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from speakerkd.config import Settings
from speakerkd.errors import InputError
from speakerkd.evaluation.calibration import Quality
from speakerkd.evaluation.protocol import Name
from speakerkd.evaluation.results import FALSE_ACCEPTS, PRIORS
from speakerkd.evaluation.scorer import Norm


class NoiseSettings(Settings):
    """Noise that is added to every recording of a list."""

    directory: Path = Field(description="noises in MUSAN's layout, <category>/<source>/<file>.wav")
    levels: list[float] = Field(min_length=1, description="speech level minus noise level in dB, one table column each")
    categories: list[str] = Field(["all"], min_length=1, description="noise, music, speech; all: drawn by recording")
    seed: int = Field(0, ge=0, description="with the recording's key it decides on category, file and offset")
    level: Literal["exact", "voxceleb_trainer"] = Field(
        "exact", description="how a level is taken: of the mean square, or with voxceleb_trainer's 1e-4 added to it"
    )


class ScoreSettings(Settings):
    """What to score and how. Either embeddings, or a model (with data or audio_root), or scores to fuse."""

    trials: list[Path] = Field(min_length=1, description="trial lists")
    embeddings: Path | None = Field(None, description="Kaldi ark or scp, or .npz")
    model: Path | None = Field(None, description="experiment directory; null: $SPEAKERKD_MODEL, then exp/latest")
    data: Path | None = Field(None, description="data directory with feats.scp or wav.scp")
    audio_root: Path | None = Field(None, description="folder that the lists' paths start from")
    scores: list[Path] = Field(default_factory=list, description="score files of several systems, to be fused")
    enrol: Path | None = Field(None, description="enrolment models, `model recording [recording ...]` a line")
    enrol_by: Literal["average", "concatenate"] = Field("average", description="of embeddings, or of audio")
    protocol: Name | None = Field(None, description="crops, whole or mean; null: crops, or what the embeddings are")
    skip_missing: bool = Field(False, description="leave out trials of recordings that are missing")
    subtract_mean: Path | None = Field(None, description="embeddings whose mean is subtracted from all")
    norm: Norm = Field("none", description="score normalisation of cosine protocols")
    cohort: Path | None = Field(None, description="cohort embeddings for it")
    cohort_speakers: Path | None = Field(None, description="spk2utt by which the cohort is averaged first")
    top: int = Field(300, ge=2, description="as-norm: the nearest of the cohort that count")
    calibrate: Path | None = Field(None, description="labelled development list that the calibration is fitted on")
    development_scores: list[Path] = Field(default_factory=list, description="its scores, one file a fused system")
    quality: list[Quality] = Field(default_factory=list, description="quality measures the calibration uses")
    noise: NoiseSettings | None = Field(None, description="noise that is added; needs a model and audio")
    priors: list[float] = Field(list(PRIORS), min_length=1, description="of a target, for minDCF and actDCF")
    false_accepts: list[float] = Field(list(FALSE_ACCEPTS), description="rates whose thresholds are told")
    bootstrap: int = Field(1000, ge=0, description="replicates of the confidence intervals; 0: none")
    seed: int = Field(0, ge=0, description="of the bootstrap")
    device: str = Field("auto", description="cpu, cuda or auto")
    out: Path | None = Field(None, description="folder of scores/ and results.json; null: the model's")


def check(settings: ScoreSettings) -> None:
    """Raises InputError for settings that contradict each other."""
    given = [name for name in ("embeddings", "scores") if getattr(settings, name)]
    if len(given) == 2 or (given and (settings.model or settings.data or settings.audio_root)):
        raise InputError("more than one source of scores", "speakerkd score", "give --embeddings, --scores, or --model")
    if settings.data and settings.audio_root:
        raise InputError("--data and --audio-root", "speakerkd score", "give one of them")
    if given and settings.noise:
        raise InputError("noise can only be added to audio", "--noise", "give --model with --data or --audio-root")
    if given and settings.enrol_by == "concatenate":
        raise InputError("only audio can be concatenated", "--enrol-by", "give --model with --data or --audio-root")
    if settings.quality and not settings.calibrate:
        raise InputError("quality measures without a calibration", "--quality", "name a development list, --calibrate")
    if not given and not (settings.data or settings.audio_root):
        fix = "add --data DIR (a data directory) or --audio-root DIR (where the list's paths start)"
        raise InputError("no recordings to score", "speakerkd score", fix)
