#!/usr/bin/env bash
# A network that reads clean digits teaches one that sees them through noise: scikit-learn's 8x8 pictures, no download.
#
#   bash egs/digits_noisy/run.sh
#
# Ends with a table of students without teaching, with kd, and with the second paper's method, and
# with pictures of their features' structure.
# Options are those of recipes/paired_images/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
small=egs/digits_noisy/conf/small.yaml
exec bash recipes/paired_images/run.sh --corpus digits --teacher resnet20 --student resnet8 --size "$small" --ratio 0.4 \
    --teacher-set "data.fraction=0.5 train.epochs=12 train.batch=32" \
    --systems "baseline kd dimensional" --seeds "1 2 3" --at-once 2 "$@"
