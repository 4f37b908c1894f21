#!/usr/bin/env bash
# Teaches an image classifier with the texts of its classes, then measures accuracy and matching of pictures and texts.
#
#   bash recipes/cifar/run.sh [--stage N] [--stop-stage M] [--corpus cifar10|cifar100|tiny_imagenet|digits|folder] [options]
#
# Stages: 0 pictures   1 teacher   2 train   3 evaluate   4 report
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --root DIR           where the corpus lies;  --download true fetches CIFAR or Tiny-ImageNet into it first
#   --teacher NAME       clip (default), with --weights FILE or from open_clip's cache; ngrams, a stand-in that knows
#                        spelling alone; auto, CLIP where it is on this machine; or a ready table, FILE.npz or FILE.npy
#   --alias "C=N"        class C is called N in that table;  --names FILE: the names of a .npy, one a line
#   --network NAME       resnet18 (default), resnet34, ...;  --margin 0.3^2: of margin and margin_quality
#   --systems "A B"      configs of recipes/cifar/conf to train and compare
#   --seeds "1 2 3"      training seeds; several give mean and deviation
#   --at-once N          systems that run beside each other, each on its share of the cores (default: 1)
#   --size FILE          laid over each config: conf/size/32.yaml (default), or 224.yaml for the paper's pictures
#   --set "a.b=c d=e"    settings to change;  --variant TEXT: what the systems are then called, SYSTEM_TEXT
#   --tag TEXT           keeps runs apart: exp/TEXT-SYSTEM, exp/TEXT.html (default: corpus-network)
#   --work DIR           where data/ and exp/ go (default: the checkout)
#   --robustness true    also accuracy under noise, blur and other damage;  --published true: the paper's figures too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=4 corpus=cifar100 root=downloads download=false work=.
teacher=clip weights='' alias='' names='' network=resnet18 margin=''
systems="baseline margin classifier" seeds=1 at_once=1 size=recipes/cifar/conf/size/32.yaml set='' variant='' tag=''
robustness=false published=false
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/cifar/conf
data=$work/data/$corpus
tag=${tag:-$corpus-$network} exp=$work/exp/${tag:-$corpus-$network}
case $network in # the paper's Table 12
    resnet34) margin=${margin:-0.2^2} ;;
    *) margin=${margin:-0.3^2} ;;
esac

if stage_is 0 "pictures"; then
    options=(--kind "${corpus/#folder/auto}" --root "$root")
    [ "$download" = true ] && options+=(--download)
    speakerkd prepare images "$data" "${options[@]}"
fi
if stage_is 1 "teacher: $teacher"; then
    need 0 "$data/classes.txt"
    speakerkd embed-text "$data" --teacher "$teacher" ${weights:+--weights "$weights"} ${alias:+--alias "$alias"} ${names:+--names "$names"}
fi
if stage_is 2 "train: $systems"; then
    train() {
        local system changes=("data.train=$data" "student.name=$network" "seed=$2")
        system=$(basename "$1" .yaml)
        [ "$system" = baseline ] || need 1 "$data/teacher.npz"
        [[ $system = margin* ]] && changes+=("distill.0.margin=$margin")
        # shellcheck disable=SC2046
        speakerkd train "$1" "$size" --exp "$3" --resume $(each_set "${changes[@]}" "$set")
    }
    need 0 "$data/images.json"
    at_once_for_each train
fi
if stage_is 3 "evaluate"; then
    gather 2 model.json
    speakerkd classify "${folders[@]}" --data "$data" $([ "$robustness" = false ] || echo --robustness)
fi
if stage_is 4 "report"; then
    gather 2 model.json
    report "$work/exp/$tag.html"
fi
