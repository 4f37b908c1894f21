#!/usr/bin/env bash
# Trains what Table 9 of the first paper compares, and puts its figures beside ours.
#
#   bash recipes/tiny_imagenet/compare.sh [--seeds "1 2 3"] [options of recipes/cifar/run.sh]
#
# Start with: bash recipes/tiny_imagenet/run.sh --root DIR --stop-stage 1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/tiny_imagenet/run.sh --stage 2 --published true \
    --systems "baseline fitnet ickd pkt clip margin margin_quality classifier" "$@"
