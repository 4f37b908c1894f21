#!/usr/bin/env python3
"""Measures speakerkd on this machine: every figure a ratio, or beside the machine's own matrix-multiply rate.

python tools/benchmark.py data|score|report|train|objectives|frontend|image|sensors|runtime [options]
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    topics = sorted(p.stem for p in (Path(__file__).parent / "benchmarks").glob("*.py") if not p.stem.startswith("_"))
    if len(sys.argv) < 2 or sys.argv[1] not in topics:
        print(f"usage: benchmark.py {{{','.join(topics)}}} [options]", file=sys.stderr)
        raise SystemExit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
