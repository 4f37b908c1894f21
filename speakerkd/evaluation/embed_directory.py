"""Embeddings of all recordings of a data directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speakerkd.errors import InputError
from speakerkd.evaluation.embed import embed
from speakerkd.evaluation.embeddings import write_embeddings
from speakerkd.evaluation.model import fbank_settings, load_speaker_model
from speakerkd.evaluation.protocol import Protocol
from speakerkd.evaluation.recordings import open_recordings
from speakerkd.evaluation.settings import ProtocolName
from speakerkd.work.rejected import Rejected

FORMATS = (".npz", ".ark", ".scp")


def embed_directory(
    directory: Path | str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    protocol: ProtocolName | None = None,
    device: str = "auto",
    max_rejected: float = 0.01,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> tuple[Path, Rejected]:
    """Embed what feats.scp holds, else what wav.scp (and segments) name, into one file, whole or not at all.

    Returns the file and the account of what was refused (also in `<out>.rejected`). Raises InputError.
    """
    directory, out = Path(directory), Path(out)
    if out.suffix not in FORMATS:
        raise InputError("an unknown kind of file", out, f"let its name end in one of {' '.join(FORMATS)}")
    rejected = Rejected(out, max_rejected)
    package = load_speaker_model(model, device)
    recordings = open_recordings(directory, fbank_settings(package))
    embeddings = embed(
        package,
        recordings,
        Protocol(name=protocol or package.protocol),
        refuse=rejected.refuse,
        progress=progress("embed") if progress else None,
    )
    rejected.take(len(embeddings))
    rejected.close()
    return write_embeddings(out, embeddings), rejected
