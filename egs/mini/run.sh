#!/usr/bin/env bash
# Teaches voices with faces on a corpus made here, in a few minutes on two cores, without a download.
#
#   bash egs/mini/run.sh [options of recipes/voxceleb/run.sh]
#
# Three trainings without the face teacher and three with it, the two systems side by side, one on either half of the
# cores. Ends with which figures are better, worse or no different, a table, and exp/mini.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
systems="baseline margin" seeds="1 2 3"
recipe() { bash recipes/voxceleb/run.sh --corpus mini --systems "$systems" --seeds "$seeds" "$@"; }
case " $* " in *" --stage "* | *" --stop-stage "* | *" --systems "* | *" --seeds "* | *" -h "* | *" --help "*)
    recipe "$@"; exit ;;
esac
recipe --stop-stage 2 "$@"
cores=$(nproc)
at_once=()
for system in $systems; do
    systems=$system OMP_NUM_THREADS=$(((cores + 1) / 2)) recipe --stage 3 --stop-stage 5 "$@" & # each step is small: one
    at_once+=($!)                                                                             # core a system beats two
done
for run in "${at_once[@]}"; do wait "$run"; done
recipe --stage 6 "$@"
