"""Which samples a training step sees, as a function of (seed, step) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from speakerkd.errors import InputError


class Sampler(Protocol):
    """Draws batches. `batches`: batches a pass over the data. `size`: samples a batch, over all ranks."""

    batches: int
    size: int

    def batch(self, number: int) -> np.ndarray:
        """Sample positions (size,) int64 of the batch with this number, counted from 0 over all passes."""
        ...


class SpeakerSampler:
    """Batches of `speakers` x `utterances`, utterances of a speaker adjacent, no speaker twice in a batch.

    labels: (N,) int64 speaker of every sample. A speaker's utterances are shuffled every pass and cut into groups of
    `utterances`; at most `max_utterances` of a speaker are taken a pass. Nothing is dropped but the remainder of that
    cut, and what a speaker has beyond one group a batch: the last batch is filled with groups drawn a second time.
    Raises InputError where fewer speakers can fill a group than a batch wants.
    """

    def __init__(
        self, labels: np.ndarray, speakers: int, utterances: int = 2, seed: int = 1, max_utterances: int | None = None
    ) -> None:
        labels = np.asarray(labels, dtype=np.int64)
        self.speakers, self.utterances, self.seed = speakers, utterances, seed
        self.size = speakers * utterances
        self._order = np.argsort(labels, kind="stable")
        sorted_labels = labels[self._order]
        self._first = np.flatnonzero(np.r_[True, sorted_labels[1:] != sorted_labels[:-1]]) if len(labels) else labels
        self._count = np.diff(np.r_[self._first, len(labels)])
        limit = np.minimum(self._count, max_utterances or np.iinfo(np.int64).max)
        self._groups = limit // utterances
        usable = int((self._groups > 0).sum())
        if usable < speakers:
            raise InputError(
                f"a batch wants {speakers} speakers with {utterances} utterances each, "
                f"and {usable} of {len(self._count)} speakers have as many",
                "train.speakers",
                f"set train.speakers to {usable} or less"
                if usable > 1
                else f"give more speakers {utterances} recordings, or set loss.name: softmax and train.batch",
            )
        self.batches = _number_of_batches(self._groups, speakers)
        self._pass: tuple[int, np.ndarray] = (-1, np.empty(0))

    def batch(self, number: int) -> np.ndarray:
        turn, position = divmod(number, self.batches)
        if self._pass[0] != turn:
            self._pass = (turn, self.plan(turn))
        return self._pass[1][position]

    def plan(self, turn: int) -> np.ndarray:
        """The batches (batches, size) int64 of one pass over the data."""
        rng = np.random.default_rng([self.seed, turn, 0x5A3B])
        owner, member = self._draw_groups(rng)
        table = _deal(owner, self.batches, self.speakers, rng)
        return member[table].reshape(self.batches, self.size)

    def _draw_groups(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One pass's G = batches x speakers groups: their speaker (G,), sorted, and samples (G, utterances)."""
        wanted = np.minimum(self._groups, self.batches)
        wanted += _extra(wanted, self.batches, self.batches * self.speakers - int(wanted.sum()), rng)
        speaker = np.repeat(np.arange(len(self._count)), self._count)
        shuffled = self._order[np.argsort(speaker + rng.random(len(speaker)), kind="stable")]
        owner = np.repeat(np.arange(len(wanted)), wanted)
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
        turn = (rank % self._groups[owner])[:, None] * self.utterances + np.arange(self.utterances)
        return owner, shuffled[self._first[owner][:, None] + turn]


class ShuffleSampler:
    """Batches of `size` samples in a new order every pass; the last one is filled from the start of the order."""

    def __init__(self, samples: int, size: int, seed: int = 1) -> None:
        if samples == 0:
            raise InputError("no sample to train on", "data.train", "check the training data")
        self.samples, self.size, self.seed = samples, size, seed
        self.batches = -(-samples // size)
        self._pass: tuple[int, np.ndarray] = (-1, np.empty(0))

    def batch(self, number: int) -> np.ndarray:
        turn, position = divmod(number, self.batches)
        if self._pass[0] != turn:
            order = np.random.default_rng([self.seed, turn, 0x5A3B]).permutation(self.samples)
            self._pass = (turn, np.resize(order, self.batches * self.size).reshape(self.batches, self.size))
        return self._pass[1][position]


def rank_rows(size: int, unit: int, rank: int, ranks: int) -> slice:
    """The rows of a batch that a rank takes: whole units (utterances of one speaker), contiguous, in rank order.

    Parameters
    ----------
    size: samples in the batch, of all ranks.
    unit: samples that stay together.
    rank, ranks: which process, in [0, ranks), of how many.

    Raises
    ------
    InputError: where the units cannot be shared out evenly.
    """
    units = size // unit
    if units % ranks:
        raise InputError(
            f"a batch of {units} does not split over {ranks} processes",
            "train.speakers" if unit > 1 else "train.batch",
            f"make it a multiple of {ranks}, such as {max(units // ranks, 1) * ranks}",
        )
    share = size // ranks
    return slice(rank * share, (rank + 1) * share)


def uniform_draws(seed: int, number: int, size: int, width: int) -> np.ndarray:
    """Uniform numbers for the random views of one batch: a row a sample, whatever the ranks.

    Parameters
    ----------
    seed, number: the run's seed and the batch's number; the same two give the same numbers.
    size, width: samples B, and numbers a sample's view takes.

    Returns
    -------
    (size, width) float64 in [0, 1).
    """
    return np.random.default_rng([seed, number, 0xC4A2]).random((size, width))


def sample_draws(seed: int, turn: int, identity: np.ndarray, width: int) -> np.ndarray:
    """Uniform numbers that follow from seed, pass and each sample's identity alone.

    The same sample has the same numbers in a pass whatever batch, row or process it falls into. A counter-based
    generator: splitmix64 (Steele et al. 2014) of the four numbers.

    Parameters
    ----------
    seed, turn: the run's seed and the pass over the data, from 0.
    identity: (B,) uint64, as `identities` gives them.
    width: numbers a sample.

    Returns
    -------
    (B, width) in [0, 1).
    """
    with np.errstate(over="ignore"):
        state = _splitmix(identity ^ _splitmix(np.array(np.uint64(seed) + (np.uint64(turn) << np.uint64(32)))))
        steps = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_splitmix(state[:, None] + steps) >> np.uint64(11)) * 2.0**-53


def identities(keys: Sequence[str]) -> np.ndarray:
    """A number (N,) uint64 for each sample, a digest of its key."""
    digests = b"".join(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, "<u8")


def _splitmix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _number_of_batches(groups: np.ndarray, speakers: int) -> int:
    """Batches a pass: the most that can be filled with distinct speakers, and one more where groups remain."""
    low, high = 1, max(int(groups.sum()) // speakers, 1)
    while low < high:  # the largest n with sum(min(groups, n)) >= n * speakers
        middle = (low + high + 1) // 2
        if int(np.minimum(groups, middle).sum()) >= middle * speakers:
            low = middle
        else:
            high = middle - 1
    return low + (int(np.minimum(groups, low + 1).sum()) > low * speakers)


def _extra(wanted: np.ndarray, batches: int, missing: int, rng: np.random.Generator) -> np.ndarray:
    """How many groups each speaker gives a second time: `missing` in all, at random, so that every batch is full."""
    room = np.where(wanted > 0, batches - wanted, 0)
    extra = np.zeros_like(wanted)
    while missing > 0:
        open_speakers = np.flatnonzero(room > extra)
        drawn = rng.permutation(open_speakers)[:missing]
        extra[drawn] += 1
        missing -= len(drawn)
    return extra


def _deal(owner: np.ndarray, batches: int, speakers: int, rng: np.random.Generator) -> np.ndarray:
    """Deal groups with sorted owners (G,) into a table (batches, speakers) of positions, no owner twice in a row.

    Dealt in turn, `speakers` groups land in each batch, and at most `batches` groups of an owner lie side by side, so
    none meets itself. Batches are then paired at random and trade the owners they do not share, a
    Markov chain whose limit is uniform over all valid tables (Strona et al. 2014, "curveball").
    """
    names, start = np.unique(owner, return_index=True)
    count = np.diff(np.r_[start, len(owner)])
    new = rng.permutation(len(names))
    blocks = np.repeat(start[new] - np.r_[0, np.cumsum(count[new])[:-1]], count[new]) + np.arange(len(owner))
    table = np.ascontiguousarray(blocks.reshape(speakers, batches).T)
    half = batches // 2
    for _ in range(int(np.ceil(np.log2(batches + 1))) + 6 if half else 0):
        turn = rng.permutation(batches)
        left, right = turn[:half], turn[half : 2 * half]
        both = np.concatenate([table[left], table[right]], axis=1)
        key = rng.random(both.shape, dtype=np.float32)
        by_owner = np.argsort(owner[both], axis=1, kind="stable")
        sorted_owner = np.take_along_axis(owner[both], by_owner, axis=1)
        row, column = np.nonzero(sorted_owner[:, 1:] == sorted_owner[:, :-1])
        key[row, by_owner[row, column]] = -1.0  # an owner that both batches have stays in both
        key[row, by_owner[row, column + 1]] = 2.0
        traded = np.take_along_axis(both, np.argsort(key, axis=1), axis=1)
        table[left], table[right] = traded[:, :speakers], traded[:, speakers:]
    return table[rng.permutation(batches)]


def fraction_of(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Positions of a share of every class's samples; smaller shares lie within larger ones.

    Parameters
    ----------
    labels: (N,), the classes.
    fraction: in (0, 1]; at least two samples of a class stay.

    Returns
    -------
    Ascending positions in [0, N).
    """
    order = np.random.default_rng([seed, 0xF7AC]).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[by_class]
    first = np.flatnonzero(np.r_[True, sorted_labels[1:] != sorted_labels[:-1]])
    count = np.diff(np.r_[first, len(labels)])
    rank = np.arange(len(labels)) - np.repeat(first, count)
    return np.sort(by_class[rank < np.repeat(np.maximum(np.round(count * fraction), 2), count)])


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Positions in [0, count), ascending: all of them, or `most` from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def classes_of(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Positions of all samples of a share of the classes; smaller shares lie within larger ones.

    Parameters
    ----------
    labels: (N,), the classes.
    fraction: in (0, 1]; at least two classes stay.

    Returns
    -------
    Ascending positions in [0, N).
    """
    classes = np.random.default_rng([seed, 0xC1A5]).permutation(np.unique(labels))
    return np.flatnonzero(np.isin(labels, classes[: max(round(len(classes) * fraction), 2)]))
