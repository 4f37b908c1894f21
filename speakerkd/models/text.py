"""Text encoders that teach: CLIP's, and a stand-in that needs no weights."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from speakerkd.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

CLIP_MODEL, CLIP_WEIGHTS = "ViT-B-16", "openai"
NGRAM_DIM = 512
STAND_IN = "a stand-in without meaning: hashed character n-grams of the prompts"


def clip_weights(model: str = CLIP_MODEL, pretrained: str = CLIP_WEIGHTS, download: bool = True) -> Path | None:
    """The file of a CLIP model's weights in the cache, fetched when it is not there; None where it cannot be had."""
    _open_clip()
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError
    from open_clip import list_models
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    known = list_pretrained_tags_by_model(model)
    if not known:
        raise InputError(f"no such CLIP model '{model}'", "CLIP", nearest(model, list_models()))
    if pretrained not in known:
        raise InputError(f"no weights '{pretrained}' for {model}", "CLIP", nearest(pretrained, known))
    repository, _, name = get_pretrained_cfg(model, pretrained).get("hf_hub", "").rpartition("/")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries without a network are no news
    for file in [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]:
        try:
            return Path(hf_hub_download(repository, file, local_files_only=not download))
        except EntryNotFoundError:  # not in this form, or not in the cache
            continue
        except (OSError, ValueError, RuntimeError) as error:
            log.debug("CLIP weights: %s", error)
            return None
    return None


def clip_embeddings(
    texts: Sequence[str],
    weights: Path | str,
    *,
    model: str = CLIP_MODEL,
    pretrained: str = CLIP_WEIGHTS,
    device: str = "cpu",
    batch: int = 256,
) -> np.ndarray:
    """CLIP's text embeddings (N, D) float32 of N sentences, the projection's output, not normalised.

    weights: safetensors, a state dict, or OpenAI's TorchScript archive. pretrained: whose weights they are, which
    decides the activation (OpenAI's were trained with the quick GELU). Radford et al. 2021.
    Raises InputError for a file that is not this model's weights.
    """
    import torch

    open_clip = _open_clip()
    from open_clip.pretrained import get_pretrained_cfg

    quick = get_pretrained_cfg(model, pretrained).get("quick_gelu", False)
    logging.disable(logging.WARNING)  # it would warn that the weights are random; they are loaded below
    try:
        network = open_clip.create_model(model, pretrained=None, force_quick_gelu=quick, device="cpu")
    finally:
        logging.disable(logging.NOTSET)
    _load(network, Path(weights))
    network = network.to(device).eval()
    tokens = _shorten(network, open_clip.get_tokenizer(model)(list(texts)))
    with torch.inference_mode():
        parts = [
            network.encode_text(tokens[i : i + batch].to(device)).float().cpu() for i in range(0, len(tokens), batch)
        ]
    return torch.cat(parts).numpy()


def ngram_embeddings(texts: Sequence[str], dim: int = NGRAM_DIM) -> np.ndarray:
    """A stand-in without meaning: hashed counts of 2 to 4 characters within words, (N, dim) float32 of length 1.

    Sentences with like spelling are near each other; it knows nothing of what they say.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=dim)
    return hashed.transform(list(texts)).toarray().astype(np.float32)


def _open_clip() -> ModuleType:
    try:
        import open_clip
    except ImportError as error:
        fix = "install the extra: pip install 'speakerkd[text]'"
        raise InputError("CLIP's text encoder needs open_clip", "--teacher clip", fix) from error
    return open_clip


def _load(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a CLIP network, every key accounted for; nothing is unpickled freely."""
    import pickle

    import torch
    from open_clip.factory import load_checkpoint
    from safetensors import SafetensorError

    if not path.is_file():
        raise InputError("no such weights", path, "give CLIP's weights with --weights")
    try:
        if _is_torchscript(path):
            state = torch.jit.load(path, map_location="cpu").state_dict()
            facts = {"input_resolution", "context_length", "vocab_size"}  # stored beside the weights by OpenAI
            network.load_state_dict({key: value for key, value in state.items() if key not in facts})
        else:
            load_checkpoint(network, str(path), weights_only=True)
    except (RuntimeError, KeyError, ValueError, EOFError, OSError, SafetensorError, pickle.UnpicklingError) as error:
        unread = isinstance(error, pickle.UnpicklingError) or not str(error).strip()
        reason = "it cannot be read" if unread else str(error).strip().splitlines()[0]
        raise InputError(
            f"not the weights of this CLIP model ({reason})", path, "give the file that belongs to it"
        ) from error


def _shorten(network: Any, tokens: Tensor) -> Tensor:
    """Tokens (N, L) cut to the longest sentence, and a causal encoder to match: what follows it changes nothing."""
    causal = getattr(network, "attn_mask", None) is not None and hasattr(network, "positional_embedding")
    if not causal or network.text_pool_type != "argmax":
        return tokens
    longest = int(tokens.argmax(1).max()) + 1  # the end mark has the greatest number
    network.positional_embedding.data = network.positional_embedding.data[:longest]
    network.attn_mask = network.attn_mask[:longest, :longest]
    return tokens[:, :longest]


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
