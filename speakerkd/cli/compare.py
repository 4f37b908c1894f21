"""Say of every figure whether a system is better than another, by a paired bootstrap over the test's people.

Compares what `score` and `match-test` left in both, on the same lists and questions. Give one experiment a seed; in
cross-validation one a fold and seed, whose trials and questions are then pooled over the folds. The differences and
their 95 % intervals go to each experiment's results.json, or to --out.

Example: speakerkd compare exp/margin --baseline exp/baseline
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class CompareOptions(Settings):
    """The two systems, and the bootstrap."""

    experiments: list[Path] = Field(min_length=1, description="experiment directories of one system, one a seed")
    baseline: list[Path] = Field(min_length=1, description="those of the system that it is compared with")
    out: Path | None = Field(
        None, description="JSON file for the differences; those of cross-validation go nowhere else"
    )
    replicates: int = Field(1000, ge=100, le=100_000, description="of the bootstrap")
    seed: int = Field(0, ge=0, description="of the bootstrap")


@verb("experiments")
def compare(settings: CompareOptions) -> None:
    """Compare, keep the differences with the experiments' figures, and print them."""
    from speakerkd.evaluation.compare import compare as run
    from speakerkd.evaluation.compare import system_name
    from speakerkd.work.files import write_json

    differences = run(settings.experiments, settings.baseline, replicates=settings.replicates, seed=settings.seed)
    if settings.out:
        write_json(settings.out, {name: asdict(one) for name, one in differences.items()})
    some = next(iter(differences.values()))
    pooled = f", {some.folds} folds pooled" if some.folds > 1 else ""
    names = f"{system_name(settings.experiments)} against {system_name(settings.baseline)}"
    print(f"{names}: both, difference, 95 % interval over {some.unit}{pooled}")
    width = max(len(name) for name in differences)
    for name, one in differences.items():
        low, high = one.interval
        both = f"{one.ours:8.3f} {one.baseline:8.3f}"
        print(f"{name:<{width}}  {both}  {one.value:+9.3f}  [{low:+.3f}, {high:+.3f}]  {one.verdict}")
