"""What the people of mini say: sentences recombined from short word lists."""

from __future__ import annotations

import numpy as np

WHO = [
    "the baker", "my neighbour", "a tall sailor", "the night watchman", "our teacher", "the old gardener",
    "a young painter", "the village doctor", "her cousin", "the train driver", "a patient clerk", "the piano tuner",
    "every second visitor", "the goalkeeper", "a quiet lodger", "the mayor of the town", "his grandmother",
    "the ferry pilot", "two of the students", "the beekeeper",
]  # fmt: skip
DID = [
    "carried", "painted", "found", "repaired", "sold", "hid", "borrowed", "counted", "described", "measured", "forgot",
    "brought", "photographed", "cleaned", "weighed", "wrapped", "drew", "lost", "collected", "examined",
]  # fmt: skip
HOW = [
    "seven", "a dozen", "several", "thirty four", "almost all", "some", "too many", "the last", "the finest",
    "nine hundred", "a pair of", "the missing", "half", "three more", "twenty", "those",
]  # fmt: skip
LIKE = [
    "copper", "broken", "yellow", "expensive", "wooden", "tiny", "frozen", "strange", "polished", "heavy", "striped",
    "forgotten", "square", "silver", "foreign", "noisy", "fresh", "curved", "ordinary", "purple",
]  # fmt: skip
WHAT = [
    "lanterns", "umbrellas", "oranges", "violins", "chairs", "letters", "bicycles", "kettles", "maps", "pigeons",
    "bottles", "carpets", "engines", "coins", "windows", "mushrooms", "ladders", "photographs", "buttons", "suitcases",
    "clocks", "apples",
]  # fmt: skip
WHERE = [
    "behind the harbour", "near the glass factory", "under the bridge", "in the upper kitchen", "beside the river",
    "at the edge of the forest", "across from the museum", "inside the empty theatre", "along the southern road",
    "on the third floor", "outside the post office", "between the two chapels", "by the frozen lake",
    "at the football ground",
]  # fmt: skip
WHEN = [
    "before breakfast", "on Thursday", "late in the evening", "during the storm", "after the concert", "last winter",
    "just before noon", "in the middle of June", "while it was raining", "a week ago", "at about half past four",
    "every other year", "shortly after the war", "once again this morning",
]  # fmt: skip
REMARK = [
    "and nobody asked why", "which pleased us all", "but that is another story", "so they walked home",
    "and it cost very little", "as far as anyone knows", "though the reason was simple", "and we laughed about it",
    "because the shop had closed", "without saying a word",
]  # fmt: skip


def sentence(rng: np.random.Generator, words: int) -> str:
    """A sentence of at least `words` words and at most about seven more."""

    def pick(options: list[str]) -> str:
        return options[rng.integers(len(options))]

    text = f"{pick(WHO)} {pick(DID)} {pick(HOW)} {pick(LIKE)} {pick(WHAT)}"
    more = [WHERE, WHEN, REMARK] if rng.random() < 0.5 else [WHEN, WHERE, REMARK]
    while len(text.split()) < words:
        if more:
            text += " " + pick(more.pop(0))
        else:
            text += f". Then {pick(WHO)} {pick(DID)} {pick(HOW)} {pick(WHAT)}"
            more = [WHERE, REMARK]
    return text[0].upper() + text[1:] + "."
