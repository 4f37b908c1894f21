"""speakerkd: teach a voice model with a face.

>>> import speakerkd
>>> model = speakerkd.load("exp/mini-margin_classifier")  # doctest: +SKIP
>>> model.embed(["a.wav", "b.wav"]).shape  # doctest: +SKIP
(2, 512)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speakerkd.version import __version__

if TYPE_CHECKING:
    from speakerkd.api import Candidate, Match, Model, Verdict, embed, load, match, similarity, verify

__all__ = ["Candidate", "Match", "Model", "Verdict", "__version__", "embed", "load", "match", "similarity", "verify"]


def __getattr__(name: str) -> Any:
    """The functions of `speakerkd.api`, imported when first asked for: the command line starts without torch."""
    if name not in __all__:
        raise AttributeError(f"module 'speakerkd' has no attribute '{name}'")
    from speakerkd import api

    return getattr(api, name)
