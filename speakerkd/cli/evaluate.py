"""Verbs that turn recordings into embeddings, scores and figures: embed, score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from speakerkd.evaluation.job import Scored

Model = Annotated[
    Path | None,
    typer.Option(help="experiment directory; else $SPEAKERKD_MODEL, else exp/latest", show_default=False),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto")]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="crops, whole or mean [default: the model's, crops if trained here; or what the embeddings are]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command()(embed)
    app.command()(score)


def embed(
    *,
    directory: Annotated[Path, typer.Argument(help="data directory with feats.scp or wav.scp", show_default=False)],
    out: Annotated[Path, typer.Option(help="file to write, .npz, or .ark or .scp for Kaldi's", show_default=False)],
    model: Model = None,
    protocol: ProtocolName = None,
    device: Device = "auto",
    max_rejected: Annotated[float, typer.Option(help="largest share of the input that may be lost")] = 0.01,
) -> None:
    """Embed every recording of a data directory: ten crops each, or whole.

    Features come from feats.scp where it is there, else from the audio of wav.scp. What cannot be embedded is listed
    in OUT.rejected.

    Example: speakerkd embed data/vox1 --model exp/margin --out exp/margin/vox1.npz
    """
    from speakerkd.cli.progress import bar
    from speakerkd.evaluation.embed_directory import embed_directory

    with bar() as progress:
        path, rejected = embed_directory(
            directory, out, model=model, protocol=protocol, device=device, max_rejected=max_rejected, progress=progress
        )
    print(f"embed {directory}: {rejected}; {path}")


def score(
    *,
    trials: Annotated[list[Path], typer.Option(help="trial lists, one or more", show_default=False)],
    embeddings: Annotated[
        Path | None, typer.Option(help="Kaldi ark or scp, or .npz (utterance, embedding)", show_default=False)
    ] = None,
    model: Model = None,
    data: Annotated[Path | None, typer.Option(help="data directory of the recordings", show_default=False)] = None,
    audio_root: Annotated[
        Path | None, typer.Option(help="folder that the lists' paths start from", show_default=False)
    ] = None,
    scores: Annotated[
        list[Path] | None, typer.Option(help="score files of several systems, to fuse (mean)", show_default=False)
    ] = None,
    enrol: Annotated[
        Path | None, typer.Option(help="`model recording [recording ...]` lines (enroll.map)", show_default=False)
    ] = None,
    enrol_by: Annotated[str, typer.Option(help="average (of embeddings) or concatenate (audio)")] = "average",
    protocol: ProtocolName = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="leave out what is missing")] = False,
    subtract_mean: Annotated[
        Path | None, typer.Option(help="embeddings whose mean is subtracted from all", show_default=False)
    ] = None,
    norm: Annotated[str, typer.Option(help="none, s-norm or as-norm; needs --protocol mean or whole")] = "none",
    cohort: Annotated[Path | None, typer.Option(help="cohort embeddings of --norm", show_default=False)] = None,
    cohort_speakers: Annotated[
        Path | None, typer.Option(help="spk2utt by which the cohort is averaged first", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(help="as-norm: how many of the cohort count")] = 300,
    calibrate: Annotated[
        Path | None, typer.Option(help="development list that a calibration is fitted on", show_default=False)
    ] = None,
    development_scores: Annotated[
        list[Path] | None, typer.Option(help="with --scores: those of the development list", show_default=False)
    ] = None,
    quality: Annotated[
        list[str] | None, typer.Option(help="calibration: duration, magnitude, norm", show_default=False)
    ] = None,
    noise: Annotated[Path | None, typer.Option(help="noises to add, in MUSAN's layout", show_default=False)] = None,
    db: Annotated[
        list[str] | None, typer.Option(help="speech minus noise level in dB, one or more", show_default=False)
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="noise, music, speech, or all (drawn) [default: all]", show_default=False)
    ] = None,
    level: Annotated[
        str,
        typer.Option(help="exact, or voxceleb_trainer: its floor of 1e-4 weakens noise that is added to quiet speech"),
    ] = "exact",
    noise_seed: Annotated[int, typer.Option(help="decides, with its key, on a recording's noise")] = 0,
    prior: Annotated[
        list[float] | None, typer.Option(help="of a target, for minDCF [default: 0.01 0.05]", show_default=False)
    ] = None,
    false_accept: Annotated[
        list[float] | None,
        typer.Option(help="rates whose thresholds are kept [default: 0.1 0.01 0.001]", show_default=False),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="replicates of the confidence intervals; 0: none")] = 1000,
    seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(help="where scores/ and results.json go [default: the model's]", show_default=False)
    ] = None,
) -> None:
    """Score trial lists, and say EER, minDCF and their 95 % intervals by speaker.

    Lists: `1 a b`, `a b target|nontarget`, `a b 1`, or `a b` without labels. Writes OUT/scores/<list>.<protocol>.txt
    and OUT/results.json.

    Example: speakerkd score --trials veri_test2.txt --embeddings vox1.npz

    Example: speakerkd score --trials veri_test2.txt --model exp/margin --data data/vox1 --noise musan --db 15 10 5
    """
    from speakerkd.cli.progress import bar
    from speakerkd.config import parse
    from speakerkd.evaluation.job import run
    from speakerkd.evaluation.settings import ScoreSettings

    if (noise is None) != (not db):
        raise typer.BadParameter("--noise and --db belong together: --noise DIR --db 15 10 5")
    given = {
        "trials": trials,
        "embeddings": embeddings,
        "model": model,
        "data": data,
        "audio_root": audio_root,
        "scores": scores,
        "enrol": enrol,
        "enrol_by": enrol_by,
        "protocol": protocol,
        "skip_missing": skip_missing,
        "subtract_mean": subtract_mean,
        "norm": norm,
        "cohort": cohort,
        "cohort_speakers": cohort_speakers,
        "top": top,
        "calibrate": calibrate,
        "development_scores": development_scores,
        "quality": quality,
        "priors": prior,
        "false_accepts": false_accept,
        "bootstrap": bootstrap,
        "seed": seed,
        "device": device,
        "out": out,
    }
    if noise is not None:
        levels = [level for text in db for level in text.split(",") if level]
        named = {"directory": noise, "levels": levels, "categories": category or ["all"]}
        given["noise"] = named | {"seed": noise_seed, "level": level}
    settings = parse(ScoreSettings, {k: v for k, v in given.items() if v is not None}, "speakerkd score")
    with bar() as progress:
        done = run(settings, progress)
    _tell(done)


def _tell(done: list[Scored]) -> None:
    from speakerkd.evaluation.results import line

    for one in done:
        print(line(one.name, one.entry, calibrated=one.entry["made"].get("kind") == "llr"))
    print(f"scores in {done[0].path.parent}, figures in {done[0].path.parent.parent / 'results.json'}")
    levels = list(dict.fromkeys(one.condition.level for one in done if one.condition.level is not None))
    if not levels:
        return
    for name in dict.fromkeys(one.list for one in done):
        rows: dict[str, dict[float, str]] = {}
        for one in done:
            if one.list == name:
                eer = one.entry.get("eer_percent")
                rows.setdefault(one.condition.category, {})[one.condition.level] = "-" if eer is None else f"{eer:.4f}"
        head = f"{name}: EER in %"
        print("\n" + head + "".join(f"{level:>9g} dB" for level in levels))
        for category, row in rows.items():
            print(f"{category:<{len(head)}}" + "".join(f"{row[level]:>12}" for level in levels))
