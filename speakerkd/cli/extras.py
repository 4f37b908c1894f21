"""What a slim installation for exported models leaves out: all verbs but those over exported models need it."""

from __future__ import annotations

TRAIN = {  # its modules
    "torch", "torchvision", "torchaudio", "facenet_pytorch", "speechbrain", "accelerate", "sklearn", "safetensors",
    "matplotlib", "tensorboard", "jinja2",
}  # fmt: skip
NEEDS_TRAIN = "install speakerkd without --no-deps"
