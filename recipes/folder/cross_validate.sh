#!/usr/bin/env bash
# Tests everybody, for a few dozen people: as many trainings as folds, each of people that the others are tested on.
#
#   bash recipes/folder/cross_validate.sh --folds 4 --audio-root DIR --image-root DIR --pattern REGEX [options of run.sh]
#
# Fold K is data/TAG-foldK, its experiments exp/TAG-foldK-SYSTEM. Scores and answers of one seed are pooled over the folds,
# and each system is compared with the baseline over all people: exp/TAG-SYSTEM.json. What is done is not done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folds=4 systems="baseline margin_classifier" seeds="1 2 3" tag=folder work='' stage=0 stop_stage=6
pass_on=() # to run.sh
source tools/parse_options.sh
source tools/recipe.sh

for ((fold = 0; fold < folds; fold++)); do
    [ "$stage" -gt 5 ] || bash recipes/folder/run.sh --folds "$folds" --fold "$fold" --tag "$tag-fold$fold" --systems "$systems" \
        --seeds "$seeds" ${work:+--work "$work"} --stage "$stage" --stop-stage "$((stop_stage < 5 ? stop_stage : 5))" "${pass_on[@]}"
done
if stage_is 6 "compare, all folds together"; then
    PATH=$PWD/.venv/bin:$PATH
    experiments_of() { # experiments_of SYSTEM: those of every fold and seed
        for ((fold = 0; fold < folds; fold++)); do exp=${work:+$work/}exp/$tag-fold$fold all_seeds "$1"; done
    }
    for system in $systems; do
        # shellcheck disable=SC2046
        [ "$system" = baseline ] || speakerkd compare $(experiments_of "$system") --baseline $(experiments_of baseline) \
            --out "${work:+$work/}exp/$tag-${system##*/}.json"
    done
fi
