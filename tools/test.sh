#!/usr/bin/env bash
# Passes the tests: style, unit tests, golden numbers, and the recipe from end to end at a small size.
#
#   bash tools/test.sh [--fast true]
#
#   --fast true   leaves out whole recipes and long training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fast=false
source tools/parse_options.sh
bash tools/install.sh

.venv/bin/ruff check --quiet .
.venv/bin/ruff format --quiet --check .
.venv/bin/lint-imports --no-logo
.venv/bin/mypy --no-error-summary # two minutes the first time, seconds from its cache
cores=$(nproc) # asked before the next line, which it would heed
# the tests compare many small results: more threads only wait for each other
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
marks=()
[ "$fast" = true ] && marks=(-m "not slow")
.venv/bin/python -m pytest -n "$cores" --dist worksteal "${marks[@]}"
