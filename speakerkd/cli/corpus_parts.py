"""`speakerkd doctor --corpus`: the parts of a corpus, here or not, and what the recipe's stages will cost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from speakerkd.corpora import voxceleb_parts
from speakerkd.corpora.parts import Part, absences, first_file
from speakerkd.work.left_out import record_left_out


def show_voxceleb(
    vox1: Path | None,
    vox2: Path | None,
    lists: Path | None,
    musan: Path | None,
    weights: Path | None,
    *,
    systems: int = 2,
    work: Path | None = None,
    left_out: Path | None = None,
    seconds: float = 10.0,
) -> bool:
    """Print both tables; True where everything required is there. left_out: a file that records what is not.

    systems: trained networks that the time is told for; 0 with seconds 0: the parts alone.
    """
    from speakerkd.training import cost

    parts = [
        *voxceleb_parts.vox2_parts(vox2, lists),
        *voxceleb_parts.vox1_parts(vox1, lists),
        *voxceleb_parts.other_parts(musan, weights),
    ]
    _show_parts(parts)
    if left_out is not None:
        record_left_out(left_out, absences(parts))
    if seconds > 0:
        paths = {part.name: part.paths for part in parts}
        dev, test = paths["VoxCeleb2 dev, sound"], paths["VoxCeleb2 test, sound"]
        hard = bool(paths["VoxCeleb1 dev, sound"]) or not (vox1 or vox2)
        train = cost.count(dev) if dev else cost.VOX2_DEV
        tested = cost.count(test) if test else (cost.Size() if vox2 else cost.VOX2_TEST)
        sound = (*paths["VoxCeleb1 test, sound"], *(p for p in paths["VoxCeleb1 dev, sound"]))
        scored = cost.count(tuple(dict.fromkeys(sound))) if sound else (cost.VOX1_ALL if hard else cost.VOX1_TEST)
        listed = [path for name in voxceleb_parts.LISTS for path in first_file((lists, vox1), name)]
        trials = sum(_lines(path) for path in listed) or 37_720 + (552_536 if hard else 0)
        heard = cost.count(paths["VoxCeleb1 test, sound"]) if paths["VoxCeleb1 test, sound"] else cost.VOX1_TEST
        noisy = min(heard.recordings, cost.VOX1_TEST.recordings) if paths["MUSAN"] or not musan else 0
        rates = cost.measure(seconds)
        whole, hours = "" if dev else ", all of it", f"{train.hours:,.{0 if train.hours > 10 else 1}f}"
        print(f"\nVoxCeleb2 dev{whole}: {train.recordings:,} recordings, {hours} h")
        print(f"Measured in {seconds:g} s here: {rates}")
        if busy := _busy(rates.cores):
            print(busy)
        print()
        costs = cost.stages(rates, train, tested, scored, systems=systems, noisy=noisy, lines=trials)
        print("\n".join(cost.tell(costs)))
        print(f"Training and scoring are those of {systems} systems at full width, 36 epochs, one after another.")
        _show_disk(sum(one.disk for one in costs), work or Path.cwd())
    return not any(part.required and part.missing for part in parts)


def _show_parts(parts: list[Part]) -> None:
    width = max(len(part.name) for part in parts)
    for part in parts:
        state = "here" if part.paths else ("PACKED" if part.packed else ("MISSING" if part.required else "absent"))
        print(f"{state:<8}{part.name:<{width}}  {part.size}")
        where = ", ".join(map(str, part.paths)) or f"{part.files}"
        print(f"{'':8}{'':{width}}  {where}")
        if part.missing:
            need = "required" if part.required else "optional"
            print(f"{'':8}{'':{width}}  {need}; lost without it: {part.needed}")
            fix = f"unpack {', '.join(p.name for p in part.packed)}" if part.packed else f"from {part.source}"
            print(f"{'':8}{'':{width}}  {fix}")


def _busy(cores: int) -> str:
    """What to think of a measurement beside other work; empty where there is little."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load <= 1.5 * cores:
        return ""
    return (
        f"Other work runs here (load {load:.0f} on {cores} cores): these rates are too low, measure on a quiet machine."
    )


def _lines(path: Path) -> int:
    with open(path, "rb") as stream:
        return sum(1 for _ in stream)


def _show_disk(needed: float, work: Path) -> None:
    while not work.exists() and work != work.parent:
        work = work.parent
    free = shutil.disk_usage(work).free
    enough = "enough" if free > 1.1 * needed else "NOT ENOUGH"
    print(f"Free where they go ({work.resolve()}): {free / 1e9:,.0f} GB, {enough}.")
