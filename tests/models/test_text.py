"""Text teachers: CLIP's embeddings are CLIP's, from every form its weights come in; the stand-in says what it is."""

import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from speakerkd.errors import InputError
from speakerkd.models.text import clip_embeddings, clip_weights, ngram_embeddings

TEXTS = ["a photo of a cat.", "a photo of a dog.", "itap of my maple tree."]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A CLIP of ViT-B-16's kind and a hundredth of its size, registered with open_clip, and its embeddings."""
    folder = tmp_path_factory.mktemp("clip")
    towers = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    }
    (folder / "tiny-clip.json").write_text(json.dumps(towers))
    open_clip.add_model_config(folder / "tiny-clip.json")
    torch.manual_seed(0)
    network = open_clip.create_model("tiny-clip", pretrained=None).eval()
    with torch.no_grad():
        expected = network.encode_text(open_clip.get_tokenizer("tiny-clip")(TEXTS)).numpy()
    return folder, network, expected


def test_embeddings_are_clips_and_not_normalised(tiny):
    folder, network, expected = tiny
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "clip.safetensors")
    torch.save(network.state_dict(), folder / "clip.pt")
    for name in ("clip.safetensors", "clip.pt"):
        embeddings = clip_embeddings(TEXTS, folder / name, model="tiny-clip", batch=2)
        np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    assert embeddings.dtype == np.float32
    assert np.abs(np.linalg.norm(embeddings, axis=1) - 1).min() > 0.01


def test_openais_torchscript_archive(tiny):
    folder, network, expected = tiny

    class Archive(torch.nn.Module):
        """The network's weights, and the facts that OpenAI stores beside them, under the names it gives them."""

        def __init__(self):
            super().__init__()
            for name, child in network.named_children():
                self.add_module(name, child)
            for name, value in network.named_parameters(recurse=False):
                self.register_parameter(name, value)
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(77))

        def forward(self, text):
            x = self.token_embedding(text) + self.positional_embedding
            return self.ln_final(x) @ self.text_projection

    torch.jit.trace(Archive().eval(), torch.zeros(1, 77, dtype=torch.long)).save(folder / "jit.pt")
    embeddings = clip_embeddings(TEXTS, folder / "jit.pt", model="tiny-clip")
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_whose_weights_they_are_decides_the_activation(tiny, monkeypatch):
    folder, network, expected = tiny
    torch.save(network.state_dict(), folder / "clip.pt")
    known = open_clip.pretrained.get_pretrained_cfg
    monkeypatch.setattr(
        open_clip.pretrained,
        "get_pretrained_cfg",
        lambda model, tag: {"quick_gelu": True} if tag == "openai" else known(model, tag),
    )
    quick = clip_embeddings(TEXTS, folder / "clip.pt", model="tiny-clip", pretrained="openai")
    assert np.abs(quick - expected).max() > 1e-4
    assert known("ViT-B-16", "openai")["quick_gelu"] is True


def test_weights_of_another_model_or_none(tiny):
    folder, _, _ = tiny
    (folder / "text.pt").write_bytes(b"not weights" * 100)
    torch.save({"a": torch.zeros(1)}, folder / "other.pt")
    for name, message in (
        ("text.pt", "cannot be read"),
        ("other.pt", "not the weights"),
        ("none.pt", "no such weights"),
    ):
        with pytest.raises(InputError, match=f"{message}.*{name}"):
            clip_embeddings(TEXTS, folder / name, model="tiny-clip")


def test_names_of_models_and_weights():
    with pytest.raises(InputError, match="did you mean 'ViT-B-16'"):
        clip_weights("ViT-B16")
    with pytest.raises(InputError, match="did you mean 'openai'"):
        clip_weights("ViT-B-16", "openal")


def test_weights_are_found_in_the_cache_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert clip_weights(download=False) is None
    repository = tmp_path / "models--timm--vit_base_patch16_clip_224.openai"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "open_clip_model.safetensors").write_bytes(b"w")
    assert clip_weights(download=False).name == "open_clip_model.safetensors"


def test_the_stand_in_knows_spelling_alone():
    embeddings = ngram_embeddings(["a photo of a cat.", "a photo of a cats.", "the plushie zebra."])
    assert embeddings.shape == (3, 512)
    cosine = embeddings @ embeddings.T
    np.testing.assert_allclose(np.diag(cosine), 1, atol=1e-5)
    assert cosine[0, 1] > 0.8 > 0.3 > cosine[0, 2]
    np.testing.assert_array_equal(
        embeddings, ngram_embeddings(["a photo of a cat.", "a photo of a cats.", "the plushie zebra."])
    )
