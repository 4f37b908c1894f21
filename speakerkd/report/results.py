"""What an experiment directory says of itself: its figures under the names that the papers' tables use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speakerkd.errors import InputError
from speakerkd.report.results_file import read_results_file

LISTS = {
    "trials_original": "vox1_o",
    "trials_cleaned": "vox1_cleaned",
    "trials_extended": "vox1_e",
    "trials_hard": "vox1_h",
    "trials_extended_cleaned": "vox1_e_cleaned",
    "trials_hard_cleaned": "vox1_h_cleaned",
    "trials_eval": "cnceleb",
    "trials_concat": "cnceleb_joined",
}
NOISY = {"vox1_o": "eer_noise", "vox1_cleaned": "eer_cleaned_noise"}
SEED_SUFFIX = re.compile(r"-seed\d+$")


@dataclass(frozen=True, slots=True)
class Result:
    """One experiment: folder, system (the name without `-seedN`), figures, and results.json as it stands."""

    path: Path
    system: str
    figures: dict[str, float]
    raw: dict[str, Any]

    @property
    def left_out(self) -> list[str]:
        """Why figures are missing, each reason once."""
        return sorted({entry["left_out"] for entry in self.raw.get("match", {}).values() if entry.get("left_out")})


def read_result(path: Path | str) -> Result:
    """Read `results.json` of an experiment directory; raises InputError where nothing was scored or matched yet."""
    path = Path(path)
    file = path / "results.json"
    if not file.is_file():
        raise InputError(
            "no results here",
            file,
            "run `speakerkd score --model` and `speakerkd match-test` first, or `speakerkd classify` for pictures",
        )
    raw = read_results_file(file)
    return Result(path, SEED_SUFFIX.sub("", path.resolve().name), _figures(raw), raw)


def _figures(raw: dict[str, Any]) -> dict[str, float]:
    """EERs in percent, minDCF at p = 0.01, accuracies in percent; undefined ones are left out."""
    figures: dict[str, float | None] = {}
    for name, entry in raw.get("scores", {}).items():
        lists, _, rest = name.partition(".")
        short = LISTS.get(lists, lists.removeprefix("trials_"))
        _protocol, _, condition = rest.partition(".")
        if not condition:
            figures[f"eer_{short}"] = entry.get("eer_percent")
            figures[f"mindcf_{short}"] = (entry.get("min_dcf") or {}).get("0.01")
        elif (noise := re.fullmatch(r"all-(-?[\d.]+)dB", condition)) and short in NOISY:
            figures[f"{NOISY[short]}_{noise[1]}db"] = entry.get("eer_percent")
    for name, entry in raw.get("match", {}).items():
        figures[name] = entry.get("accuracy_percent")
    figures |= raw.get("classify", {}).get("test", {}).get("figures", {})
    return {key: float(value) for key, value in figures.items() if value is not None}
