#!/usr/bin/env bash
# Tests everybody, for a few dozen people: as many trainings as folds, each of people that the others are tested on.
#
#   bash recipes/folder/cross_validate.sh --folds 4 --audio-root DIR --image-root DIR --pattern REGEX [options of run.sh]
#
#   --choose "a.b=1 a.b=2"  settings to choose between, a word each: for every fold anew, by the EER on the people of the
#                           next fold of networks that saw neither fold
#   --choose-by SYSTEM      which system is trained to choose (default: the last of --systems)
#   --choose-set "a.b=c"    settings of those trainings alone: of two folds fewer people, train.speakers may have to be less
#
# Fold K is data/TAG-foldK, its experiments exp/TAG-foldK-SYSTEM. Scores and answers of one seed are pooled over the folds,
# and each system is compared with the baseline over all people: exp/TAG-SYSTEM.json. What is done is not done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folds=4 systems="baseline margin_classifier" seeds="1 2 3" tag=folder work='' stage=0 stop_stage=6 set='' choose='' choose_by='' choose_set=''
pass_on=() # to run.sh
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH
root=${work:+$work/}exp

run() { # run FOLD TAG PREFIX SYSTEMS SEEDS SETTINGS STAGE STOP_STAGE OPTIONS...: the recipe on one fold
    [ "$7" -gt "$8" ] || bash recipes/folder/run.sh --folds "$folds" --fold "$1" --tag "$2" --prefix "$3" --systems "$4" --seeds "$5" \
        --set "$6" --stage "$7" --stop-stage "$8" ${work:+--work "$work"} "${pass_on[@]}" "${@:9}"
}
last() { echo "$((stop_stage < $1 ? stop_stage : $1))"; }

for ((fold = 0; fold < folds; fold++)); do
    chosen='' by=${choose_by:-${systems##* }}
    if [ -n "$choose" ]; then
        tried=()
        for setting in $choose; do
            run "$fold" "$tag-choose$fold" "$tag-choose$fold-$setting" "$by" 1 "${set:+$set }${choose_set:+$choose_set }$setting" \
                "$stage" "$(last 4)" --development
            tried+=("$root/$tag-choose$fold-$setting-${by##*/}")
        done
        if [ "$stop_stage" -ge 3 ]; then
            chosen=$(basename "$(speakerkd best "${tried[@]}")") chosen=${chosen#"$tag-choose$fold-"} chosen=${chosen%"-${by##*/}"}
            echo "fold $fold: $chosen, chosen on the people of fold $(((fold + 1) % folds))"
        fi
    fi
    run "$fold" "$tag-fold$fold" "$tag-fold$fold" "$systems" "$seeds" "${set:+$set }$chosen" "$stage" "$(last 5)"
done
if stage_is 6 "compare, all folds together"; then
    experiments_of() { # experiments_of SYSTEM: those of every fold and seed
        for ((fold = 0; fold < folds; fold++)); do exp=$root/$tag-fold$fold all_seeds "$1"; done
    }
    for system in $systems; do
        # shellcheck disable=SC2046
        [ "$system" = baseline ] || speakerkd compare $(experiments_of "$system") --baseline $(experiments_of baseline) \
            --out "$root/$tag-${system##*/}.json"
    done
fi
