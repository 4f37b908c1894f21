#!/usr/bin/env bash
# Trains what Tables 1 to 4 of the third paper compare, and puts its figures beside ours.
#
#   bash recipes/disentangled/compare.sh [--tables "1 2 3 4"] [--corpora "sunrgbd eurosat tristar"] [options of run.sh]
#
# Table 1: the richer sensor teaches the other   2: both teach each   3: terms left out   4: one part of the two alone
# What is finished is only reported, so the command goes on where it stopped.
#
#   --roots DIR          holds a folder a data set;  --seeds "1 2 3 4 5": the paper's five repeats
#   --methods, --set, --work, --jobs: as in run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tables="1 2 3 4" corpora="sunrgbd eurosat tristar" roots=downloads seeds="1 2 3 4 5" work=. set='' jobs=1
methods="$(printf '%s %s_lskd ' {kdv1,kdv2,dkd,ctkd,mlkd}{,})"
source tools/parse_options.sh
PATH=$PWD/.venv/bin:$PATH

compare() { # compare TABLE SCENARIOS METHODS SYSTEMS
    local corpus
    for corpus in $corpora; do
        echo "== Table $1: $corpus"
        bash recipes/disentangled/run.sh --corpus "$corpus" --root "$roots/$corpus" --scenarios "$2" --methods "$3" \
            --systems "$4" --seeds "$seeds" --work "$work" --set "$set" --jobs "$jobs" --stop-stage 4
    done
    speakerkd tables --exp "$work/exp" --paper discom_kd --table "$1"
}

for table in $tables; do
    case $table in
        1) compare 1 cross "$methods" disentangled ;;
        2) compare 2 multi "$methods" disentangled ;;
        3) compare 3 none "" "disentangled $(printf 'disentangled_without_%s ' adversarial modality auxiliary orthogonality)" ;;
        4) compare 4 none "" "disentangled disentangled_only_z_inv disentangled_only_z_inf" ;;
        *) echo "compare.sh: error: no table '$table', known: 1 2 3 4" >&2; exit 2 ;;
    esac
done
