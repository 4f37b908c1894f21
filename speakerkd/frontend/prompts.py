"""Class names as sentences: the prompt set that a text teacher reads."""

from __future__ import annotations

from collections.abc import Sequence

from speakerkd.errors import InputError, nearest

# The 80 templates of CLIP's ImageNet prompt set (Radford et al. 2021), in their published order.
IMAGENET_80 = tuple(
    """\
a bad photo of a {}.
a photo of many {}.
a sculpture of a {}.
a photo of the hard to see {}.
a low resolution photo of the {}.
a rendering of a {}.
graffiti of a {}.
a bad photo of the {}.
a cropped photo of the {}.
a tattoo of a {}.
the embroidered {}.
a photo of a hard to see {}.
a bright photo of a {}.
a photo of a clean {}.
a photo of a dirty {}.
a dark photo of the {}.
a drawing of a {}.
a photo of my {}.
the plastic {}.
a photo of the cool {}.
a close-up photo of a {}.
a black and white photo of the {}.
a painting of the {}.
a painting of a {}.
a pixelated photo of the {}.
a sculpture of the {}.
a bright photo of the {}.
a cropped photo of a {}.
a plastic {}.
a photo of the dirty {}.
a jpeg corrupted photo of a {}.
a blurry photo of the {}.
a photo of the {}.
a good photo of the {}.
a rendering of the {}.
a {} in a video game.
a photo of one {}.
a doodle of a {}.
a close-up photo of the {}.
a photo of a {}.
the origami {}.
the {} in a video game.
a sketch of a {}.
a doodle of the {}.
a origami {}.
a low resolution photo of a {}.
the toy {}.
a rendition of the {}.
a photo of the clean {}.
a photo of a large {}.
a rendition of a {}.
a photo of a nice {}.
a photo of a weird {}.
a blurry photo of a {}.
a cartoon {}.
art of a {}.
a sketch of the {}.
a embroidered {}.
a pixelated photo of a {}.
itap of the {}.
a jpeg corrupted photo of the {}.
a good photo of a {}.
a plushie {}.
a photo of the nice {}.
a photo of the small {}.
a photo of the weird {}.
the cartoon {}.
art of the {}.
a drawing of the {}.
a photo of the large {}.
a black and white photo of a {}.
the plushie {}.
a dark photo of a {}.
itap of a {}.
graffiti of the {}.
a toy {}.
itap of my {}.
a photo of a cool {}.
a photo of a small {}.
a tattoo of the {}.
""".splitlines()
)

PROMPT_SETS: dict[str, tuple[str, ...]] = {"imagenet_80": IMAGENET_80, "photo": ("a photo of a {}.",)}


def prompt_set(name: str) -> tuple[str, ...]:
    """The templates of a named prompt set, each with one `{}` for the class name."""
    if name not in PROMPT_SETS:
        raise InputError(f"no such prompt set '{name}'", "--prompts", nearest(name, PROMPT_SETS))
    return PROMPT_SETS[name]


def fill(templates: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Every class in every template: K * P sentences, a class's P sentences adjacent."""
    return [template.format(name) for name in classes for template in templates]
