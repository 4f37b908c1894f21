"""The settings of a scoring run, and of what uses a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from speakerkd.config import DeviceName, Settings
from speakerkd.errors import InputError
from speakerkd.frontend.truncation import Truncation
from speakerkd.frontend.vad_settings import SpeechOnly

ProtocolName = Literal["crops", "whole", "mean"]
Quality = Literal["duration", "magnitude", "norm"]
Norm = Literal["none", "s-norm", "as-norm"]
PRIORS = (0.01, 0.05)
FALSE_ACCEPTS = (0.1, 0.01, 0.001)
Share = Annotated[float, Field(gt=0, lt=1)]


def _at_commas(values: Any) -> Any:
    """`15,5` is two levels."""
    return [part for text in values for part in str(text).split(",") if part] if isinstance(values, tuple) else values


class ModelSettings(Settings):
    """Which trained model is used, and where it runs."""

    model: Path | None = Field(
        None, description="experiment directory, or owner/name on Hugging Face; else $SPEAKERKD_MODEL, else exp/latest"
    )
    device: DeviceName = Field("auto", description="auto (a GPU where there is one), cpu, cuda, cuda:N or mps")


class RuntimeSettings(SpeechOnly, Truncation, ModelSettings):
    """What runs the model, and what it hears."""

    runtime: Literal["torch", "onnx"] = Field(
        "torch", description="onnx: an exported model (`speakerkd export --onnx`), without torch"
    )


class ScoreSettings(Truncation, ModelSettings):
    """What to score and how. Either embeddings, or a model (with data or audio_root), or scores to fuse."""

    trials: list[Path] = Field(min_length=1, description="trial lists, one or more")
    embeddings: Path | None = Field(None, description="Kaldi ark or scp, or .npz (utterance, embedding)")
    data: Path | None = Field(None, description="data directory of the recordings, with feats.scp or wav.scp")
    audio_root: Path | None = Field(None, description="folder that the lists' paths start from")
    scores: list[Path] = Field(default_factory=list, description="score files of several systems, to fuse (mean)")
    enrol: Path | None = Field(None, description="`model recording [recording ...]` lines (enroll.map)")
    enrol_by: Literal["average", "concatenate"] = Field("average", description="average of embeddings, or joined audio")
    protocol: ProtocolName | None = Field(
        None,
        description="what is compared in a trial [default: the model's, crops if trained here; or what the embeddings "
        "are]",
    )
    skip_missing: bool = Field(False, description="leave out trials of recordings that are missing")
    subtract_mean: Path | None = Field(None, description="embeddings whose mean is subtracted from all")
    norm: Norm = Field("none", description="score normalisation; needs --protocol mean or whole")
    cohort: Path | None = Field(None, description="cohort embeddings of --norm")
    cohort_speakers: Path | None = Field(None, description="spk2utt by which the cohort is averaged first")
    top: int = Field(300, ge=2, description="as-norm: the nearest of the cohort that count")
    calibrate: Path | None = Field(None, description="labelled development list that a calibration is fitted on")
    development_scores: list[Path] = Field(
        default_factory=list, description="with --scores: those of the development list, one file a system"
    )
    quality: list[Quality] = Field(default_factory=list, description="quality measures that the calibration uses")
    noise: Path | None = Field(None, description="noises to add, in MUSAN's layout; needs a model and audio")
    db: Annotated[list[float], BeforeValidator(_at_commas)] = Field(
        default_factory=list, description="speech minus noise level in dB, one or more"
    )
    category: list[str] = Field(["all"], min_length=1, description="noise, music, speech, or all (drawn)")
    noise_seed: int = Field(0, ge=0, description="decides, with its key, on a recording's noise")
    level: Literal["exact", "voxceleb_trainer"] = Field(
        "exact", description="voxceleb_trainer: its floor of 1e-4 weakens noise that is added to quiet speech"
    )
    prior: list[Share] = Field(list(PRIORS), min_length=1, description="of a target, for minDCF and actDCF")
    false_accept: list[Share] = Field(list(FALSE_ACCEPTS), description="rates whose thresholds are kept")
    by: Path | None = Field(None, description="`recording group` lines (utt2genre): figures by the tests' group")
    bootstrap: int = Field(1000, ge=0, description="replicates of the confidence intervals; 0: none")
    seed: int = Field(0, ge=0, description="of the bootstrap")
    out: Path | None = Field(None, description="where scores/ and results.json go [default: the model's folder]")

    @model_validator(mode="after")
    def _noise_has_levels(self) -> ScoreSettings:
        if (self.noise is None) != (not self.db):
            raise ValueError("--noise and --db belong together: --noise DIR --db 15 10 5")
        return self


def check(settings: ScoreSettings) -> None:
    """Raises InputError for settings that contradict each other."""
    sources = [name for name in ("embeddings", "scores") if getattr(settings, name)]
    if len(sources) == 2 or (sources and (settings.model or settings.data or settings.audio_root)):
        raise InputError("more than one source of scores", "speakerkd score", "give --embeddings, --scores, or --model")
    if settings.data and settings.audio_root:
        raise InputError("--data and --audio-root", "speakerkd score", "give one of them")
    if sources and settings.noise:
        raise InputError("noise can only be added to audio", "--noise", "give --model with --data or --audio-root")
    if sources and settings.enrol_by == "concatenate":
        raise InputError("only audio can be concatenated", "--enrol-by", "give --model with --data or --audio-root")
    if settings.quality and not settings.calibrate:
        raise InputError("quality measures without a calibration", "--quality", "name a development list, --calibrate")
    if not sources and not (settings.data or settings.audio_root):
        fix = "add --data DIR (a data directory) or --audio-root DIR (where the list's paths start)"
        raise InputError("no recordings to score", "speakerkd score", fix)
