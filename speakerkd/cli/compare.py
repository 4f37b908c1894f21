"""Say of every figure whether a system is better than another, by a paired bootstrap over the test's people.

Compares what `score` and `match-test` left in both, on the same lists and questions. Give one experiment a seed. The
differences and their 95 % intervals go to each experiment's results.json.

Example: speakerkd compare exp/margin --baseline exp/baseline
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class CompareOptions(Settings):
    """The two systems, and the bootstrap."""

    experiments: list[Path] = Field(min_length=1, description="experiment directories of one system, one a seed")
    baseline: list[Path] = Field(min_length=1, description="those of the system that it is compared with")
    replicates: int = Field(1000, ge=100, le=100_000, description="of the bootstrap")
    seed: int = Field(0, ge=0, description="of the bootstrap")


@verb("experiments")
def compare(settings: CompareOptions) -> None:
    """Compare, keep the differences with the experiments' figures, and print them."""
    from speakerkd.evaluation.compare import compare as run
    from speakerkd.evaluation.compare import system_name

    found = run(settings.experiments, settings.baseline, replicates=settings.replicates, seed=settings.seed)
    unit = next(iter(found.values())).unit
    names = f"{system_name(settings.experiments)} against {system_name(settings.baseline)}"
    print(f"{names}: difference, 95 % interval over {unit}")
    width = max(len(name) for name in found)
    for name, one in found.items():
        low, high = one.interval
        print(f"{name:<{width}}  {one.value:+9.3f}  [{low:+.3f}, {high:+.3f}]  {one.verdict}")
