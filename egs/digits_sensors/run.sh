#!/usr/bin/env bash
# Two views of scikit-learn's digits, luminance and edges, learn together: DisCoM-KD beside teacher and student, no download.
#
#   bash egs/digits_sensors/run.sh
#
# A few minutes on two cores. Ends with a table of a network for each view alone, of students that one view's or
# both views' network taught, and of the two that learnt together. Options are those of recipes/disentangled/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/disentangled/run.sh --corpus digits --size egs/digits_sensors/conf/small.yaml --methods kdv2 "$@"
