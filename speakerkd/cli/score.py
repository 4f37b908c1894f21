"""Score trial lists, and say EER, minDCF and their 95 % intervals by speaker.

Lists: `1 a b`, `a b target|nontarget`, `a b 1`, or `a b` without labels. Writes OUT/scores/<list>.<protocol>.txt and
OUT/results.json.

Example: speakerkd score --trials veri_test2.txt --embeddings vox1.npz

Example: speakerkd score --trials veri_test2.txt --model exp/margin --data data/vox1 --noise musan --db 15 10 5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from speakerkd.cli.options import verb
from speakerkd.evaluation.settings import ScoreSettings

if TYPE_CHECKING:
    from speakerkd.evaluation.job import Scored


@verb(cost="model")
def score(settings: ScoreSettings) -> None:
    """Score the lists; print a line a list, and a table of EERs where noise was added."""
    from speakerkd.evaluation.job import score_lists
    from speakerkd.evaluation.results import line
    from speakerkd.work.progress import bar

    with bar() as progress:
        done = score_lists(settings, progress)
    for one in done:
        print(line(one.name, one.entry, calibrated=one.entry["made"].get("kind") == "llr"))
        for group, figures in one.entry.get("groups", {}).items():
            eer = "-" if figures["eer_percent"] is None else f"{figures['eer_percent']:.4f} %"
            print(f"  {group:<16} {figures['trials']:>10,} trials  EER {eer}")
    already = sum(one.already for one in done)
    if already:
        share = "" if already == len(done) else f", {already} of {len(done)}"
        print(f"done already{share}: made from the same files, with the same settings and code")
    print(f"scores in {done[0].path.parent}, figures in {done[0].path.parent.parent / 'results.json'}")
    levels = list(dict.fromkeys(one.condition.level for one in done if one.condition.level is not None))
    if levels:
        for name in dict.fromkeys(one.list for one in done):
            _print_noisy(name, [one for one in done if one.list == name], levels)


def _print_noisy(name: str, done: list[Scored], levels: list[float]) -> None:
    """EER by category of noise and level."""
    rows: dict[str, dict[float | None, str]] = {}
    for one in done:
        eer = one.entry.get("eer_percent")
        rows.setdefault(one.condition.category, {})[one.condition.level] = "-" if eer is None else f"{eer:.4f}"
    head = f"{name}: EER in %"
    print("\n" + head + "".join(f"{level:>9g} dB" for level in levels))
    for category, row in rows.items():
        print(f"{category:<{len(head)}}" + "".join(f"{row[level]:>12}" for level in levels))
