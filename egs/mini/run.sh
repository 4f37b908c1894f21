#!/usr/bin/env bash
# Teaches voices with faces on a corpus made here, in about seven minutes on two cores, without a download.
#
#   bash egs/mini/run.sh
#
# Ends with a table of a network trained with and without the face teacher, and exp/mini.html. Options are those of
# recipes/voxceleb/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/voxceleb/run.sh --corpus mini --systems "baseline margin" "$@"
