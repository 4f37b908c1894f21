"""Self-supervised speech networks (WavLM, HuBERT, wav2vec 2.0) as teachers, from a folder on this disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speakerkd.errors import InputError
from speakerkd.work.records import read_json

KINDS = ("wavlm", "hubert", "wav2vec2")
RATE = 16000
CONFIG = "config.json"


def is_ssl_folder(path: Path | str) -> bool:
    """Whether a path is a folder in the layout of `transformers` with a network of a known kind."""
    config = Path(path) / CONFIG
    return (
        config.is_file() and read_json(config, dict[str, Any], "give the model's own folder").get("model_type") in KINDS
    )


class SslTeacher:
    """A frozen self-supervised network; `embed` gives the mean over time of its last hidden layer.

    name: its kind. dim: D. least: samples that a recording needs.
    """

    least = 400

    def __init__(self, folder: Path | str, device: str = "cpu") -> None:
        try:
            import torch
            from transformers import AutoModel
        except ImportError as error:
            raise InputError("transformers is not installed", "--teacher", "pip install 'speakerkd[ssl]'") from error
        folder = Path(folder)
        config = read_json(folder / CONFIG, dict[str, Any], "give the model's own folder")
        try:
            # from safetensors alone: a pickle would run code
            self.network: Any = AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"not a {config['model_type']} network ({reason})", folder, "give its folder") from error
        self.network.eval().requires_grad_(False).to(device)
        self.name, self.dim, self.device = str(config["model_type"]), int(config["hidden_size"]), device
        preprocessing = folder / "preprocessor_config.json"
        options = read_json(preprocessing, dict[str, Any], "remove it") if preprocessing.is_file() else {}
        self.normalise = bool(options.get("do_normalize", config.get("feat_extract_norm") == "layer"))
        if options.get("sampling_rate", RATE) != RATE:
            raise InputError(f"a network for {options['sampling_rate']} Hz", preprocessing, f"give one for {RATE} Hz")
        self._torch = torch

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of samples (N,) at 16 kHz the embedding (D,)."""
        if len(samples) < self.least:
            raise InputError(f"{len(samples)} samples, less than {self.least}", "a recording", "leave it out")
        if self.normalise:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        with self._torch.inference_mode():
            x = self._torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None].to(self.device)
            return self.network(x).last_hidden_state.mean(1)[0].float().cpu().numpy()
