#!/usr/bin/env bash
# Teaches voices with faces on recordings and pictures of your own, and says whether it helped.
#
#   bash recipes/folder/run.sh --audio-root DIR --image-root DIR --pattern REGEX --test-speakers N [--teacher NAME --weights FILE]
#
# Three trainings without teaching and three with it, scored and matched on N people that they never saw. Stages and all
# other options are those of recipes/voxceleb/run.sh; the last of an option given twice counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/voxceleb/run.sh --corpus folder --systems "baseline margin_classifier" --seeds "1 2 3" --teacher sface \
    --size recipes/folder/conf/small.yaml "$@"
