"""Verbs that turn a data directory's recordings and pictures into what training reads: fbank, faces, teach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[Path, typer.Argument(help="data directory", show_default=False)]
Jobs = Annotated[int, typer.Option(help="processes on this machine; 0 means one a core")]
Cluster = Annotated[str | None, typer.Option(help="address of a Dask scheduler that does the work instead")]
MaxRejected = Annotated[float, typer.Option(help="largest share of the input that may be lost")]


def register(app: typer.Typer) -> None:
    """Add this module's verbs to the command."""
    app.command()(fbank)


def fbank(
    directory: Directory,
    mels: Annotated[int, typer.Option(help="number of mel bands")] = 40,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="another setting of the features, such as low=60 (repeatable)")
    ] = None,
    jobs: Jobs = 0,
    cluster: Cluster = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Compute the Fbank features of every recording in DIR/wav.scp.

    Writes feats.scp (Kaldi's two-byte archives under DIR/fbank), utt2num_frames and utt2dur. A second run computes only
    what is missing or has changed. What cannot be read is listed in feats.scp.rejected.

    Example: speakerkd fbank data/train --jobs 8
    """
    from speakerkd.config import apply_overrides, parse
    from speakerkd.frontend.extract import extract_fbank
    from speakerkd.frontend.fbank import FbankSettings

    chosen = parse(FbankSettings, apply_overrides({"mels": mels}, settings or []), "--set")
    rejected = extract_fbank(directory, chosen, jobs=jobs, cluster=cluster, max_rejected=max_rejected)
    print(f"fbank {directory}: {rejected}")
