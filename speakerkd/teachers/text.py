"""The text teacher reads every class in every prompt once, for an image directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from speakerkd.data.images import read_classes
from speakerkd.errors import InputError, nearest
from speakerkd.frontend.prompts import fill, prompt_set
from speakerkd.models.text import CLIP_MODEL, CLIP_WEIGHTS, clip_embeddings, clip_weights, ngram_embeddings
from speakerkd.teachers.text_table import TextTable, read_text_table, write_text_table
from speakerkd.work.files import digest, write_json
from speakerkd.work.origin import Stamp

TEACHERS = ("clip", "ngrams", "auto")


def embed_text(
    directory: Path | str,
    teacher: str = "clip",
    *,
    weights: Path | str | None = None,
    clip_model: str = CLIP_MODEL,
    clip_pretrained: str = CLIP_WEIGHTS,
    prompts: str = "imagenet_80",
    aliases: Mapping[str, str] | None = None,
    names: Path | str | None = None,
    output: str = "teacher.npz",
    device: str = "cpu",
) -> TextTable:
    """Write the table of text embeddings, classes x prompts, of an image directory, unless it is current.

    teacher: `clip`, with `weights` or from open_clip's cache; `ngrams`, a stand-in without meaning; `auto`, CLIP where
    its weights are on this machine and the stand-in elsewhere; or the path of a ready table, whose `names` and
    `aliases` are as in `speakerkd.teachers.text_table`. prompts: the prompt set, for teachers that read.
    Raises InputError for classes that a ready table lacks, and where CLIP's weights cannot be had.
    """
    directory = Path(directory)
    classes = read_classes(directory)
    path = directory / output
    if teacher == "auto":
        clip_file = weights or clip_weights(clip_model, clip_pretrained, download=False)
        teacher, weights = ("clip", clip_file) if clip_file else ("ngrams", None)
    if teacher not in TEACHERS:
        return _from_table(directory, Path(teacher), classes=classes, aliases=aliases, names=names, path=path)
    if aliases:
        raise InputError("aliases name rows of a ready table", "--alias", f"'{teacher}' reads the names in classes.txt")
    if teacher == "clip":
        weights = weights or clip_weights(clip_model, clip_pretrained)
        if weights is None:
            raise InputError(
                f"the weights of CLIP {clip_model} ({clip_pretrained}) are not in the cache and could not be fetched",
                directory,
                "give them with --weights, give a ready table with --teacher FILE.npz, or take --teacher ngrams",
            )
    source = {"name": teacher, "prompts": prompts}
    if weights is not None:
        source |= {"model": clip_model, "pretrained": clip_pretrained}
    inputs = [directory / "classes.txt", *([weights] if weights else [])]
    stamp = Stamp(path, inputs, **source)
    if stamp.is_current():
        return read_text_table(path)
    templates = list(prompt_set(prompts))
    texts = fill(templates, classes)
    if weights is not None:
        source["digest"] = digest(weights)
        flat = clip_embeddings(texts, weights, model=clip_model, pretrained=clip_pretrained, device=device)
    else:
        flat = ngram_embeddings(texts)
    table = TextTable(classes, templates, flat.reshape(len(classes), len(templates), -1), source)
    _write(path, table, weights)
    stamp.write()
    return table


def _from_table(
    directory: Path,
    source: Path,
    *,
    classes: list[str],
    aliases: Mapping[str, str] | None,
    names: Path | str | None,
    path: Path,
) -> TextTable:
    if not source.suffix and not source.exists():
        raise InputError(
            f"no such text teacher '{source}'", "--teacher", nearest(str(source), TEACHERS) + ", or a table's path"
        )
    inputs = [directory / "classes.txt", source, *([names] if names else [])]
    stamp = Stamp(path, inputs, aliases=json.dumps(dict(aliases or {}), sort_keys=True))
    if stamp.is_current():
        return read_text_table(path)
    table = read_text_table(source, names).for_classes(classes, aliases, source)
    table.source = {**table.source, "table": source.name, "digest": digest(source)}
    _write(path, table, source)
    stamp.write()
    return table


def _write(path: Path, table: TextTable, weights: Path | str | None) -> None:
    """The table, and beside it what a trained model records of its teacher."""
    write_text_table(path, table)
    about = {"name": table.source["name"], "dim": table.dim, "digest": table.source.get("digest")}
    write_json(path.with_suffix(".json"), {**about, "weights": str(Path(weights).absolute()) if weights else None})
