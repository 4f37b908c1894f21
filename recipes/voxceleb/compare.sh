#!/usr/bin/env bash
# Trains and scores the methods of one of the first paper's tables, and prints ours beside the published figures.
#
#   bash recipes/voxceleb/compare.sh [--table 1|2|5|6|all] [options of run.sh]
#
#   --table 1     every method it compares (its Tables 1, 3 and 4)       --table 5   mixing ratio of the projection head
#   --table 2     a quarter of the data                                  --table 6   margins
#   --table all   every method here that fits face to voice
#
# On VoxCeleb: --corpus voxceleb and the options that it needs. Without: the mini corpus at half its training length
# (conf/size/mini_short.yaml), without noise, three seeds.
set -euo pipefail
table=1 corpus=mini seeds="1 2 3"
options=()
while [ $# -gt 0 ]; do
    case $1 in
        --table) table=$2; shift 2 ;;
        --seeds) seeds=$2; shift 2 ;;
        --corpus) corpus=$2; shift 2 ;;
        -h | --help) sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
        *) options+=("$1"); shift ;;
    esac
done
case $table in
    1) systems="baseline kd fitnet pkt sp ickd ccl margin classifier margin_quality" ;;
    2) systems="ablation/quarter_baseline ablation/quarter_margin ablation/quarter_classifier" ;;
    5) systems=$(printf 'ablation/alpha_%s ' 0.2 0.4 0.5 0.6 0.8) ;;
    6) systems=$(printf 'ablation/margin_%s ' 0 cos10 cos20 cos30 cos40 cos50) ;;
    all) systems="baseline kd lskd dkd ctkd alkd simkd fitnet afkd vid sp pkt rkd cc ickd crd ccl clip dimensional margin classifier margin_quality margin_classifier" ;;
    *) echo "compare.sh: error: no table '$table', use 1, 2, 5, 6 or all" >&2; exit 2 ;;
esac
if [ "$corpus" = mini ]; then # on egs/mini's data, in experiments of its own
    options=(--prefix mini_short --size "$(dirname "$0")/conf/size/mini_short.yaml" --musan none "${options[@]}")
fi
exec bash "$(dirname "$0")/run.sh" --corpus "$corpus" --systems "$systems" --seeds "$seeds" --published true "${options[@]}"
