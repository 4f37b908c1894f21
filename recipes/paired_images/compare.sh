#!/usr/bin/env bash
# Trains what Tables 2 to 7 of the second paper compare, and puts its figures beside ours.
#
#   bash recipes/paired_images/compare.sh [--tables "3 6 7"] [--methods "kd dimensional"] [--seeds "1 2 3"] [options of run.sh]
#
# Table 2: radar and optical pairs   3: CIFAR-100, CIFAR-10   4: STL-10, Tiny-ImageNet   5: ImageNet-100, ImageNet
# Table 6: parts left out   7: methods combined; both on radar_optical unless --corpora names another set
# What is finished is only reported, so the command goes on where it stopped.
#
#   --corpora "A B"      only these data sets of the tables' own (6 and 7: on this one)
#   --methods "A B"      only these methods;  --pairs "resnet32x4:resnet8x4": only these networks, TEACHER:STUDENT
#   --classes FILE, --roots DIR (holds a folder a data set), --work, --set, --teacher-set, --download: as in run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tables="2 3 4 5 6 7" corpora='' pairs='' seeds=1 work=. roots=downloads classes='' set='' teacher_set='' download=false
methods="baseline kd alkd fitnet at afkd nst vid crd semckd rkd fsp cc dimensional"
source tools/parse_options.sh
PATH=$PWD/.venv/bin:$PATH

small="resnet32x4:resnet8x4 resnet32x4:ShuffleV1 resnet32x4:ShuffleV2"
compare() { # compare TABLE CORPUS PAIRS SYSTEMS
    local pair
    if [ -n "$corpora" ] && ! [[ " $corpora " == *" $2 "* ]]; then return; fi
    for pair in ${pairs:-$3}; do
        echo "== Table $1: $2, $pair"
        bash recipes/paired_images/run.sh --corpus "$2" --root "$roots/$2" --download "$download" --classes "$classes" \
            --teacher "${pair%:*}" --student "${pair#*:}" --systems "$4" --seeds "$seeds" --work "$work" --set "$set" \
            --teacher-set "$teacher_set" --published true --stop-stage 4
    done
}

for table in $tables; do
    other=${corpora:-radar_optical}
    case $table in
        2) compare 2 radar_optical "$small vgg13:vgg8 vgg13:MobileNetV2" "$methods" ;;
        3) for corpus in cifar100 cifar10; do compare 3 $corpus "$small" "$methods"; done ;;
        4) for corpus in stl10 tiny_imagenet; do compare 4 $corpus "$small" "$methods"; done ;;
        5) for corpus in imagenet100 imagenet; do compare 5 $corpus "$small" "$methods"; done ;;
        6) for corpus in $other; do
            compare 6 "$corpus" resnet32x4:resnet8x4 "dimensional $(printf 'dimensional_without_%s ' srm sem1 sem2 dcm1 dcm2)"
        done ;;
        7) for corpus in $other; do
            compare 7 "$corpus" "resnet32x4:resnet8x4 resnet32x4:ShuffleV1" \
                "dimensional kd kd+dimensional $(printf '%s %s+kd %s+dimensional ' {fitnet,at,nst,crd,rkd}{,,})"
        done ;;
        *) echo "compare.sh: error: no table '$table', known: 2 3 4 5 6 7" >&2; exit 2 ;;
    esac
done
