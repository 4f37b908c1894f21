#!/usr/bin/env bash
# Two sensors that learn together (DisCoM-KD), beside teachers and students in both scenarios of the third paper.
#
#   bash recipes/disentangled/run.sh [--stage N] [--stop-stage M] [--corpus NAME] [options]
#
# Stages: 0 pictures   1 a network for each sensor and one for both   2 rivals' students   3 sensors that learn together
#         4 evaluate   5 tables and report
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --corpus NAME        eurosat (default) sunrgbd tristar; folder: pairs of your own; digits cifar10: pictures and edges
#   --root DIR           where the corpus lies;  --sensors "rich poor": folder: names of the two sensors' folders
#   --scenarios "A B"    cross: a network of the first sensor teaches one of the second; multi: one of both teaches each
#   --methods "A B"      rivals: kdv1 kdv2 dkd ctkd mlkd, each with _lskd too; '' for none
#   --systems "A B"      configs of sensors that learn together: disentangled, and those of conf/ablation/; '' for none
#   --seeds "1 2 3 4 5"  each divides the pictures anew, and trains on its own division
#   --size FILE          laid over each config: conf/size/*.yaml; the corpus's own by default
#   --set "a.b=c d=e"    settings to change in every network
#   --tag TEXT           how experiments' names begin, the corpus's name by default
#   --work DIR           where data/ and exp/ go (default: the checkout);  --jobs N: processes that decode
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=5 corpus=eurosat root=downloads sensors='' scenarios="cross multi" work=. jobs=1 size='' set='' tag=''
methods="kdv1 kdv2 dkd ctkd mlkd" systems=disentangled seeds=1
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/disentangled/conf tag=${tag:-$corpus} pixels=64 prepared=(--kind "$corpus" --root "$root")
case $corpus in
    eurosat) names=(ms sar) ;;
    sunrgbd) names=(rgb depth) pixels=224 ;;
    tristar) names=(thermal depth) pixels=224 ;;
    folder) given sensors; read -ra names <<<"$sensors"; prepared=(--root "$root" --sensors "$sensors") ;;
    digits | cifar10) names=(picture edges) pixels=32 prepared+=(--second edges) ;;
    *) fail 2 "no corpus '$corpus', see bash $0 --help" ;;
esac
size=${size:-$conf/size/$pixels.yaml}

data_of() { echo "$work/data/$tag/$1"; }                                                # data_of SEED
exp_of() { echo "$work/exp/$tag-$1$([ "$2" = "${seeds%% *}" ] || echo "-seed$2")"; }    # exp_of SCENARIO-METHOD SEED
train() { # train CONFIG EXPERIMENT SEED CHANGES...
    local config
    config=$(ls "$conf/$1.yaml" "$conf/ablation/$1.yaml" 2>/dev/null || true)
    [ -n "$config" ] || fail 1 "no config $conf/$1.yaml, see ls $conf"
    need 0 "$(data_of "$3")/images.json"
    # shellcheck disable=SC2046,SC2086
    speakerkd train "$config" "$size" --exp "$(exp_of "$2" "$3")" --resume \
        $(each_set "data.train=$(data_of "$3")" "seed=$3" "${@:4}" $set)
}
student() { # student EXPERIMENT METHOD SEED SENSOR TEACHER
    need 1 "$(exp_of "$5" "$3")/model.json"
    train "$2" "$1-$2" "$3" "data.view.sensor=$4" "teacher.weights=$(exp_of "$5" "$3")"
}
rivals() { # rivals FUNCTION SEED: call it with experiment, method, seed, sensor and teacher of every rival's student
    local method
    for method in $methods; do
        if [[ $scenarios == *cross* ]]; then "$1" "${names[0]}_to_${names[1]}" "$method" "$2" second "${names[0]}-baseline"; fi
        if [[ $scenarios == *multi* ]]; then
            "$1" "${names[0]}" "$method" "$2" first all_modalities-teacher
            "$1" "${names[1]}" "$method" "$2" second all_modalities-teacher
        fi
    done
}

if stage_is 0 "pictures"; then
    for seed in $seeds; do
        speakerkd prepare images "$(data_of "$seed")" "${prepared[@]}" --shares "70 10 20" --seed "$seed" --jobs "$jobs"
    done
fi
if stage_is 1 "a network for each sensor, and one for both"; then
    for seed in $seeds; do
        train baseline "${names[0]}-baseline" "$seed" data.view.sensor=first
        train baseline "${names[1]}-baseline" "$seed" data.view.sensor=second
        if [[ $scenarios == *multi* ]]; then train baseline all_modalities-teacher "$seed" data.view.sensor=both; fi
    done
fi
if stage_is 2 "rivals' students: $methods"; then for seed in $seeds; do rivals student "$seed"; done; fi
if stage_is 3 "sensors that learn together: $systems"; then
    for seed in $seeds; do for system in $systems; do train "$system" "$system" "$seed"; done; done
fi
folders=()
collect() { need 2 "$(exp_of "$1-$2" "$3")/model.json"; folders+=("$(exp_of "$1-$2" "$3")"); }
for seed in $seeds; do
    [ "$stop_stage" -ge 4 ] || break
    for name in "${names[0]}-baseline" "${names[1]}-baseline" $([[ $scenarios != *multi* ]] || echo all_modalities-teacher); do
        need 1 "$(exp_of "$name" "$seed")/model.json"; folders+=("$(exp_of "$name" "$seed")")
    done
    rivals collect "$seed"
    for system in $systems; do
        for name in "${names[@]}"; do
            need 3 "$(exp_of "$system" "$seed")/$name/model.json"; folders+=("$(exp_of "$system" "$seed")/$name")
        done
    done
done
if stage_is 4 "evaluate"; then speakerkd classify "${folders[@]}"; fi
if stage_is 5 "tables and report"; then
    speakerkd report "${folders[@]}" --out "$work/exp/$tag.html"
    speakerkd tables --exp "$work/exp" --paper discom_kd --out "$work/exp/$tag-tables.md"
fi
