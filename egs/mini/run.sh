#!/usr/bin/env bash
# Teaches voices with faces on a corpus made here, in a few minutes on two cores, without a download.
#
#   bash egs/mini/run.sh [options of recipes/voxceleb/run.sh]
#
# Three trainings without the face teacher and three with it, by its margin on features and its shared classifier; two at
# a time, since each step is small and one core a training beats two. Ends with which figures are better, worse or no
# different, a table, and exp/mini.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/voxceleb/run.sh --corpus mini --systems "baseline margin_classifier" --seeds "1 2 3" --at-once 2 "$@"
