"""Pairs of sensors as their owners ship them: SUN RGB-D (Kinect v2), EuroSAT with its radar pictures, and TRISTAR."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speakerkd.corpora.image_corpus import ImageCorpus, Measured, Split, pictures_below, readable
from speakerkd.corpora.image_pairs import find_pairs
from speakerkd.errors import InputError
from speakerkd.work.records import read_text

# the ten kinds of room that all four cameras of SUN RGB-D share (Ferreri et al. 2021)
ROOMS = (
    *("bathroom", "bedroom", "classroom", "computer_room", "conference_room", "dining_area", "discussion_area"),
    *("kitchen", "office", "rest_space"),
)
OPTICAL, RADAR = (
    ("EuroSAT_MS", "EuroSATallBands", "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"),
    "EuroSAT-SAR",
)


def sun_rgbd(root: Path) -> ImageCorpus:
    """SUN RGB-D's pictures by Kinect v2: RGB and 16-bit depth, the ten kinds of room that its cameras share.

    A scene is a folder with `scene.txt`, one picture in `image/` and one in `depth/`, anywhere below `kv2`.
    Rooms of other kinds are left out, as the third paper does; what lacks a picture is listed as refused.
    """
    folder = next((path for path in (root / "SUNRGBD/kv2", root / "kv2", root) if path.is_dir()), root)
    scenes = sorted(folder.glob("**/scene.txt"))
    if not scenes:
        raise InputError("no scene.txt below it", folder, "give the folder that holds SUNRGBD, unpacked")
    split, refused = Split(), []
    for scene in scenes:
        name = read_text(scene, "fetch it again").strip()
        if name not in ROOMS:
            continue
        key = f"{name}/{scene.parent.relative_to(folder)}"
        pictures = [
            pictures_below(scene.parent / kind, folder) for kind in ("image", "depth") if (scene.parent / kind).is_dir()
        ]
        if len(pictures) < 2 or any(len(paths) != 1 for paths in pictures):
            counts = " and ".join(str(len(paths)) for paths in pictures) or "no"
            refused.append((key, f"{counts} pictures in image/ and depth/ where one each is meant"))
            continue
        split.keys.append(key)
        split.labels.append(ROOMS.index(name))
        split.files += pictures[0]
        split.paired_files += pictures[1]
    if not split.keys:
        raise InputError("no scene of the ten kinds of room", folder, f"they are {', '.join(ROOMS)}")
    corpus = ImageCorpus("sunrgbd", [readable(name) for name in ROOMS], {"train": split}, refused, list(ROOMS))
    return measured(corpus, Measured("rgb", 3), Measured("depth", 1, no_data=0))


def eurosat(root: Path) -> ImageCorpus:
    """EuroSAT's 13 bands beside the radar pictures of the same places, 2 bands (Wang et al. 2023).

    Two trees `<class>/<class>_<n>.tif`: EuroSAT_MS (or as its older archive unpacks) and EuroSAT-SAR, below `root`.
    """
    optical = next((root / name for name in OPTICAL if (root / name).is_dir()), root / OPTICAL[0])
    for folder, what in ((optical, "13 bands"), (root / RADAR, "radar pictures")):
        if not folder.is_dir():
            raise InputError(f"EuroSAT's {what} are not there", folder, "unpack them there")
    corpus = find_pairs(optical, root / RADAR, whole=True)
    corpus.kind = "eurosat"
    return measured(corpus, Measured("ms", 13), Measured("sar", 2))


def tristar(root: Path) -> ImageCorpus:
    """TRISTAR's thermal and depth frames, 16 bits each, with the action of each frame.

    Shots `[train|val|test]/<shot>/{thermal,depth}/<frame>.png` with `actions.txt`: a line a frame, the name or number
    of its action. All splits are taken together and divided anew, as the third paper does. A frame without an action
    (an empty line, or -1) is left out.
    """
    shots = sorted(path.parent for path in root.glob("**/actions.txt"))
    if not shots:
        raise InputError("no shot with actions.txt below it", root, "give the folder that holds TRISTAR, unpacked")
    scenes: list[tuple[str, str, Path, Path]] = []
    refused = []
    for shot in shots:
        actions = [line.strip() for line in read_text(shot / "actions.txt", "fetch it again").splitlines()]
        frames = {kind: pictures_below(shot / kind, root) for kind in ("thermal", "depth") if (shot / kind).is_dir()}
        if len(frames) < 2:
            raise InputError("a shot without thermal/ and depth/", shot, "fetch it again, or remove it")
        by_name = {kind: {path.stem: path for path in paths} for kind, paths in frames.items()}
        names = sorted(by_name["thermal"].keys() | by_name["depth"].keys())
        if len(names) != len(actions):
            raise InputError(f"{len(actions)} actions for {len(names)} frames", shot / "actions.txt", "fetch it again")
        for name, action in zip(names, actions, strict=True):
            key = f"{shot.relative_to(root)}/{name}"
            lacking = [kind for kind, paths in by_name.items() if name not in paths]
            if lacking:
                refused.append((key, f"no {lacking[0]} frame"))
            elif action not in ("", "-1"):
                scenes.append((key, action, by_name["thermal"][name], by_name["depth"][name]))
    names = sorted({action for _, action, _, _ in scenes}, key=lambda text: (text.isdigit() and len(text), text))
    if len(names) < 2:
        raise InputError(f"{len(names)} actions", root, "check that actions.txt names them")
    split = Split(
        [key for key, *_ in scenes],
        [names.index(action) for _, action, *_ in scenes],
        [thermal for *_, thermal, _ in scenes],
        None,
        [depth for *_, depth in scenes],
    )
    corpus = ImageCorpus("tristar", [readable(name) for name in names], {"train": split}, refused, names)
    return measured(corpus, Measured("thermal", 1), Measured("depth", 1, no_data=0))


def measured(corpus: ImageCorpus, *sensors: Measured) -> ImageCorpus:
    """The corpus with what its sensors measure; its files are then read as they were measured."""
    corpus.measured, corpus.sensors = list(sensors), [sensor.name for sensor in sensors]
    return corpus


SETS: dict[str, Callable[[Path], ImageCorpus]] = {"sunrgbd": sun_rgbd, "eurosat": eurosat, "tristar": tristar}
