"""Draw trial lists over a test set: all pairs or a balanced number of them, original or hard."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from speakerkd.data.datadir import DataDir
from speakerkd.errors import InputError
from speakerkd.work.files import whole_file

ALL_AT_MOST = 5_000_000  # pairs; a list of all of them beyond this is surely not meant
Trial = tuple[int, str, str]  # 1 for a target and 0 for a non-target, enrolment key, test key


def all_pairs(speaker: Mapping[str, str], group: Mapping[str, str] | None = None) -> Iterator[Trial]:
    """Every unordered pair of recordings once, in the order of the keys.

    speaker: {key: speaker}. group: {speaker: group}; where given, non-targets pair speakers of one group only.
    """
    for a, b in itertools.combinations(sorted(speaker), 2):
        if speaker[a] == speaker[b]:
            yield 1, a, b
        elif group is None or _same_group(group, speaker[a], speaker[b]):
            yield 0, a, b


def draw(
    speaker: Mapping[str, str],
    count: int,
    seed: int,
    *,
    session: Mapping[str, str] | None = None,
    group: Mapping[str, str] | None = None,
) -> list[Trial]:
    """Draw `count` different trials, half of them targets, with each recording enrolling about equally often.

    speaker: {key: speaker}. session: {key: session}; targets then pair different sessions wherever a speaker has two.
    group: {speaker: group}, such as spk2gender; non-targets then pair speakers of one group only (a hard list).
    When there are fewer pairs of a kind than asked for, all of them are taken.
    Raises InputError when there is no target or no non-target at all.
    """
    if count < 2:
        raise InputError(f"{count} trials asked for", "--trials", "ask for 2 or more, or for all")
    session = session or {}
    keys = sorted(speaker)
    of_speaker = _by(keys, speaker.get)
    genders: Mapping[str, str] = group if group is not None else {}
    of_group = _by(keys, lambda key: genders.get(speaker[key]))
    single = {name for name, mates in of_speaker.items() if len({session.get(key) for key in mates}) == 1}

    def is_target(a: str, b: str) -> bool:
        return a != b and (speaker[a] in single or session.get(a) != session.get(b))

    def is_other(a: str, b: str) -> bool:
        return speaker[a] != speaker[b] and (group is None or _same_group(group, speaker[a], speaker[b]))

    rng = np.random.default_rng([seed, 7])
    targets = _pick(keys, lambda key: of_speaker[speaker[key]], is_target, count // 2, rng)

    def rivals(key: str) -> Sequence[str]:
        return keys if group is None else of_group[genders.get(speaker[key])]

    others = _pick(keys, rivals, is_other, count - count // 2, rng)
    for pairs, kind, need in ((targets, "target", "two recordings of one"), (others, "non-target", "two")):
        if not pairs:
            within = " of one group" if group is not None and kind == "non-target" else ""
            raise InputError(
                f"no {kind} trial can be drawn", f"{len(keys)} recordings", f"give {need} speaker(s){within}"
            )
    return [(1, *pair) for pair in targets] + [(0, *pair) for pair in others]


def _same_group(group: Mapping[str, str], a: str, b: str) -> bool:
    return a in group and group[a] == group.get(b)


def _by(keys: Iterable[str], name: Callable[[str], str | None]) -> dict[str | None, list[str]]:
    lists: dict[str | None, list[str]] = defaultdict(list)
    for key in keys:
        lists[name(key)].append(key)
    return lists


def _pick(
    keys: Sequence[str],
    pool: Callable[[str], Sequence[str]],
    fits: Callable[[str, str], bool],
    wanted: int,
    rng: np.random.Generator,
) -> list[tuple[str, str]]:
    """Draw up to `wanted` different unordered pairs (key, one of its pool) that fit, going round the keys in turn."""
    order = [keys[n] for n in rng.permutation(len(keys))]
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    dry = 0  # turns in a row that gave nothing
    for key in itertools.cycle(order):
        if len(pairs) >= wanted or dry > len(order):
            break
        mates = pool(key)
        dry += 1
        for _ in range(20):
            other = mates[int(rng.integers(len(mates)))]
            pair = frozenset((key, other))
            if fits(key, other) and pair not in pairs:
                pairs[pair] = (key, other)
                dry = 0
                break
    if len(pairs) < wanted:  # drawing has dried up: the pairs left are few, so list them
        fitting = {frozenset((a, b)): (a, b) for a in order for b in pool(a) if fits(a, b)}
        left = [pair for name, pair in fitting.items() if name not in pairs]
        for n in rng.permutation(len(left))[: wanted - len(pairs)]:
            pairs[frozenset(left[n])] = left[n]
    return list(pairs.values())


def write_trials(path: Path | str, trials: Iterable[Trial], suffix: str = "") -> int:
    """Write `1 enrolment test` lines, whole or not at all, `suffix` after every key; gives the count."""
    count = 0
    with whole_file(path) as stream:
        for label, enrolment, test in trials:
            stream.write(f"{label} {enrolment}{suffix} {test}{suffix}\n")
            count += 1
    return count


def write_lists(
    directory: Path | str, count: int | str, seed: int, session: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Write trials_original over a data directory, and trials_hard where all speakers' genders are known.

    count: trials to draw, or "all" for every pair. session: {key: session}; utt2session where it is not given.
    Gives {name: number of trials}. A hard list is left out where no two speakers share a gender.
    """
    data = DataDir(directory)
    speaker = data.table("utt2spk")
    if session is None:
        session = data.table("utt2session") if data.has("utt2session") else {}
    gender = data.table("spk2gender") if data.has("spk2gender") else {}
    counts = {}
    if count == "all" and len(speaker) * (len(speaker) - 1) // 2 > ALL_AT_MOST:
        raise InputError(
            f"all pairs of {len(speaker)} recordings are too many to be meant", data.path, "ask for a number of trials"
        )
    for name, group in (("original", None), ("hard", gender)):
        path = data.path / f"trials_{name}"
        if group is not None and not _has_rivals(data.speakers, group):
            path.unlink(missing_ok=True)
            continue
        if count == "all":
            counts[name] = write_trials(path, all_pairs(speaker, group))
        else:
            counts[name] = write_trials(path, draw(speaker, int(count), seed, session=session, group=group))
    return counts


def _has_rivals(speakers: Mapping[str, Sequence[str]], gender: Mapping[str, str]) -> bool:
    known = [gender[name] for name in speakers if name in gender]
    return len(known) > len(set(known))
