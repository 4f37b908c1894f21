#!/usr/bin/env bash
# Teaches a Tiny-ImageNet-200 classifier with the texts of its classes.
#
#   bash recipes/tiny_imagenet/run.sh --root DIR [--download true] [options of recipes/cifar/run.sh]
#
# ResNet34 at the pictures' own 64 pixels; --size recipes/cifar/conf/size/224.yaml for the paper's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec bash recipes/cifar/run.sh --corpus tiny_imagenet --network resnet34 --size recipes/tiny_imagenet/conf/64.yaml "$@"
