#!/usr/bin/env bash
# Teaches scikit-learn's 8x8 digits by their names, in a minute or two on two cores, without a download.
#
#   bash egs/digits/run.sh
#
# Ends with a table of a network trained without teaching, with the margin, with quality, and with the shared classifier.
# The teacher is CLIP's text encoder where its weights are on this machine. Elsewhere it is a stand-in, a table of hashed
# character n-grams of the prompts: it knows how the names are spelt, not what they mean.
# Options are those of recipes/cifar/run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/cifar/run.sh --corpus digits --teacher auto --network resnet8x4 --size egs/digits/conf/small.yaml \
    --systems "baseline margin margin_quality classifier" --at-once 2 "$@"
