"""Embed every recording of a data directory: ten crops each, or whole.

Features come from feats.scp where it is there, else, and with --vad, from the audio of wav.scp. What cannot be
embedded is listed in OUT.rejected.

Example: speakerkd embed data/vox1 --model exp/margin --out exp/margin/vox1.npz
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.cli.shared import Rejection
from speakerkd.evaluation.settings import ProtocolName, RuntimeSettings


class EmbedOptions(Rejection, RuntimeSettings):
    """What is embedded, how, and where it goes."""

    directory: Path = Field(description="data directory with feats.scp or wav.scp")
    out: Path = Field(description="file to write, .npz, or .ark or .scp for Kaldi's")
    protocol: ProtocolName | None = Field(
        None, description="how recordings become embeddings [default: the model's, crops if trained here]"
    )


@verb("directory", cost="directory")
def embed(settings: EmbedOptions) -> None:
    """Embed the recordings and say what became of them."""
    if settings.runtime == "onnx":
        from speakerkd.onnx_model import embed_exported, open_exported

        model = open_exported(settings.model, settings.truncated, settings.vad)
        arguments = settings.directory, settings.out, model, settings.protocol, settings.max_rejected
        written, account = embed_exported(*arguments)
        print(f"embed {settings.directory}: {account}; {written}")
        return
    from speakerkd.evaluation.embed_directory import embed_directory
    from speakerkd.work.progress import bar

    with bar() as progress:
        path, rejected = embed_directory(
            settings.directory,
            settings.out,
            model=settings.model,
            protocol=settings.protocol,
            device=settings.device,
            max_rejected=settings.max_rejected,
            truncated=settings.truncated,
            vad=settings.vad,
            progress=progress,
        )
    already = "done already, from the same files, with the same settings and code"
    note = already if rejected is None else str(rejected)
    print(f"embed {settings.directory}: {note}; {path}")
