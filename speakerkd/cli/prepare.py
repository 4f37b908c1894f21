"""Verbs that make data directories of corpora, and the one that checks them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[Path, typer.Argument(help="where to write", show_default=False)]
Jobs = Annotated[int, typer.Option(help="processes on this machine; 0 means one a core")]
Cluster = Annotated[str | None, typer.Option(help="address of a Dask scheduler that does the work instead")]
MaxRejected = Annotated[float, typer.Option(help="largest share of the input that may be lost")]
Root = Annotated[Path | None, typer.Option(help="root of the corpus", show_default=False)]

prepare = typer.Typer(no_args_is_help=True, help="Make data directories of a corpus.", rich_markup_mode="markdown")


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.add_typer(prepare, name="prepare")
    app.command()(validate)


@prepare.command()
def mini(
    output: Output,
    identities: Annotated[int, typer.Option(help="people in all; a fifth of them for testing")] = 100,
    videos: Annotated[int, typer.Option(help="videos a person")] = 4,
    utterances: Annotated[int, typer.Option(help="utterances a video")] = 4,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
    jobs: Jobs = 0,
    cluster: Cluster = None,
) -> None:
    """Make a small corpus of faces and synthetic voices, in the layouts of VoxCeleb1, VoxCeleb2 and MUSAN.

    Needs no download. Writes OUTPUT/vox1, OUTPUT/vox2 and OUTPUT/musan; make data directories of them with
    `speakerkd prepare voxceleb` and `speakerkd prepare musan`.

    Example: speakerkd prepare mini corpora/mini
    """
    from speakerkd.config import parse
    from speakerkd.corpora.mini.corpus import MiniSettings, write_mini

    given = {"identities": identities, "videos": videos, "utterances": utterances, "seed": seed}
    made = write_mini(output, parse(MiniSettings, given, "prepare mini"), jobs=jobs, cluster=cluster)
    print(f"mini {output}: {made['people']} people, {made['utterances']} utterances, {made['trials']} trials")


@prepare.command()
def voxceleb(
    output: Output,
    vox1: Root = None,
    vox2: Root = None,
    lists: Annotated[
        Path | None, typer.Option(help="folder of the trial lists and meta tables, if not in the corpora's roots")
    ] = None,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """VoxCeleb2 into OUTPUT/train and OUTPUT/test, with faces; VoxCeleb1's trials into OUTPUT/vox1.

    What is broken is listed beside each directory, in train.rejected and so on. What is not on the disk is left out,
    said here and in OUTPUT/left_out.tsv: `speakerkd doctor --corpus voxceleb` shows all parts. Nothing is written into
    the corpora's folders.

    Example: speakerkd prepare voxceleb data --vox1 /corpora/voxceleb1 --vox2 /corpora/voxceleb2
    """
    from speakerkd.corpora.build import Work
    from speakerkd.corpora.parts import absences
    from speakerkd.corpora.voxceleb import lists_left_out, prepare_vox1, prepare_vox2
    from speakerkd.corpora.voxceleb_parts import vox1_parts, vox2_parts
    from speakerkd.errors import InputError
    from speakerkd.work.left_out import FILE, record_left_out

    if vox1 is None and vox2 is None:
        raise InputError("no corpus named", "prepare voxceleb", "give --vox1 DIR, --vox2 DIR or both")
    work = Work(jobs, cluster, max_rejected)
    parts = [*(vox2_parts(vox2, lists) if vox2 else []), *(vox1_parts(vox1, lists) if vox1 else [])]
    if vox2 is not None:
        for built in prepare_vox2(output, vox2, work, lists):
            print(built)
    lost = absences(parts)
    if vox1 is not None:
        print(prepare_vox1(output, vox1, work, lists))
        lost |= {path.name: f"no scores of {path.name}: {why}" for path, why in lists_left_out(vox1, lists).items()}
    for sentence in record_left_out(output / FILE, lost):
        print(f"left out: {sentence}")


@prepare.command()
def cnceleb(
    output: Output,
    cn1: Root = None,
    cn2: Root = None,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """CN-Celeb1 (dev) and CN-Celeb2 into OUTPUT/train, CN-Celeb1's test with its enrolment models into OUTPUT/eval.

    Example: speakerkd prepare cnceleb data --cn1 /corpora/CN-Celeb_flac --cn2 /corpora/CN-Celeb2_flac
    """
    from speakerkd.corpora.build import Work
    from speakerkd.corpora.cnceleb import prepare_cnceleb

    for built in prepare_cnceleb(output, Work(jobs, cluster, max_rejected), cn1=cn1, cn2=cn2):
        print(built)


@prepare.command()
def musan(
    output: Output,
    root: Annotated[Path, typer.Option(help="root of MUSAN, with noise, music and speech", show_default=False)],
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """MUSAN, or any noises in its layout, into one data directory.

    Example: speakerkd prepare musan data/musan --root /corpora/musan
    """
    from speakerkd.corpora.build import Work
    from speakerkd.corpora.noises import prepare_musan

    print(prepare_musan(output, root, Work(jobs, cluster, max_rejected)))


@prepare.command()
def folder(
    output: Output,
    audio_root: Annotated[Path, typer.Option(help="folder of recordings, at any depth", show_default=False)],
    pattern: Annotated[
        str,
        typer.Option(
            help="expression with the named groups speaker, session, utterance (and gender), "
            "searched in each path below its root, without extension",
            show_default=False,
        ),
    ],
    image_root: Annotated[Path | None, typer.Option(help="folder of pictures or videos of the same people")] = None,
    pair: Annotated[str, typer.Option(help="session or utterance: what shares one picture")] = "session",
    test_speakers: Annotated[int, typer.Option(help="speakers to hold out for testing")] = 0,
    test_fraction: Annotated[float, typer.Option(help="or the share of them")] = 0.0,
    test_list: Annotated[Path | None, typer.Option(help="or a file with their names, one a line")] = None,
    trials: Annotated[str, typer.Option(help="trials over the held-out speakers: a number, or all")] = "20000",
    seed: Annotated[int, typer.Option(help="of the split and the trials")] = 0,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    r"""Your own recordings, with or without pictures, into OUTPUT/train and OUTPUT/test.

    Example: speakerkd prepare folder data --audio-root rec --image-root pics --test-fraction 0.2
    --pattern '(?P<speaker>\w+)/(?P<session>\w+)/(?P<utterance>\w+)'
    """
    from speakerkd.config import parse
    from speakerkd.corpora.build import Work
    from speakerkd.corpora.folder import FolderSettings, prepare_folder

    given = {
        "pattern": pattern,
        "pair": pair,
        "test_speakers": test_speakers,
        "test_fraction": test_fraction,
        "test_list": test_list,
        "trials": trials,
        "seed": seed,
    }
    settings = parse(FolderSettings, given, "prepare folder")
    for built in prepare_folder(output, audio_root, image_root, settings, Work(jobs, cluster, max_rejected)):
        print(built)


@prepare.command("trials")
def draw_trials(
    directory: Annotated[Path, typer.Argument(help="data directory", show_default=False)],
    count: Annotated[str, typer.Option(help="number of trials, half of them targets, or all")] = "20000",
    seed: Annotated[int, typer.Option(help="same seed, same trials")] = 0,
) -> None:
    """Draw trial lists over a data directory: trials_original, and trials_hard (one gender) where genders are known.

    Example: speakerkd prepare trials data/test --count 10000 --seed 1
    """
    from speakerkd.corpora.trials import write_lists
    from speakerkd.errors import InputError

    if count != "all" and not count.isdigit():
        raise InputError(f"'{count}' is not a number of trials", "--count", "give a number, or all")
    for name, number in write_lists(directory, count, seed).items():
        print(f"{directory}/trials_{name}: {number} trials")


def validate(
    directory: Annotated[Path, typer.Argument(help="data directory", show_default=False)],
) -> None:
    """Check a data directory: name every file, line and rule that is broken.

    Example: speakerkd validate data/train
    """
    from speakerkd.data.validate import validate as check

    problems = check(directory)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    print(f"{directory}: valid")
