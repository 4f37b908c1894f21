#!/usr/bin/env bash
# A clean sensor teaches a poor one: trains a teacher on clean pictures, students on poor ones, and measures accuracy.
#
#   bash recipes/paired_images/run.sh [--stage N] [--stop-stage M] [--corpus NAME] [options]
#
# Stages: 0 pictures   1 teacher   2 students   3 evaluate   4 report   5 structure of the features
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --corpus NAME        cifar10 (default) cifar100 stl10 tiny_imagenet fashion_mnist imagenet imagenet100 digits folder,
#                        whose students see damaged pictures; or radar_optical, pairs of two sensors
#   --root DIR           where the corpus lies;  --download true fetches CIFAR, STL-10, Fashion-MNIST or Tiny-ImageNet
#   --classes FILE       imagenet100: its classes, one a line;  --sensors "radar optical": folders of the two sensors
#   --teacher NAME       resnet32x4 (default), vgg13, ...;  --student NAME: resnet8x4 (default), ShuffleV1, ShuffleV2, ...
#   --systems "A B"      configs of conf/, conf/combined/ and conf/ablation/ to train and compare
#   --seeds "1 2 3"      training seeds; several give mean and deviation
#   --at-once N          systems that run beside each other, each on its share of the cores (default: 1)
#   --ratio X            the noise's; .1, and .5 for ImageNet;  --reading kept: the share that stays, not that is lost
#   --size FILE          laid over each config: conf/size/*.yaml; the corpus's own by default
#   --set "a.b=c d=e"    settings to change in students;  --teacher-set "a.b=c": in the teacher
#   --variant TEXT       what the systems are then called, SYSTEM_TEXT;  --tag TEXT: in place of corpus-teacher-student
#   --work DIR           where data/ and exp/ go (default: the checkout);  --published true: the paper's figures too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=5 corpus=cifar10 root=downloads download=false classes='' sensors="radar optical" work=.
teacher=resnet32x4 student=resnet8x4 systems="baseline kd dimensional" seeds=1 at_once=1 ratio='' reading=corrupted size=''
set='' teacher_set='' variant='' tag='' published=false
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/paired_images/conf data=$work/data/$corpus clean=$work/data/$corpus kind=${corpus/#folder/auto}
tag=${tag:-$corpus-$teacher-$student} taught_by=$work/exp/$corpus-$teacher-teacher
exp=$work/exp/$tag
pixels=32 prepared=() damage=()
case $corpus in
    stl10) pixels=96 ;;
    tiny_imagenet) pixels=64 ;;
    fashion_mnist) pixels=28 ;;
    imagenet | imagenet100) pixels=224 kind=imagenet ratio=${ratio:-0.5} ;;
    radar_optical) pixels=224 kind=auto clean=$data/paired prepared=(--sensors "$sensors") damage=(data.view.degrade=null) ;;
esac
size=${size:-$conf/size/$pixels.yaml}
[ "$corpus" = radar_optical ] || damage=("data.view.degrade.amount=${ratio:-0.1}" "data.view.degrade.reading=$reading")
[ -n "$classes" ] && prepared+=(--classes "$classes")
if [ "$corpus" = imagenet100 ] && [ -z "$classes" ]; then
    fail 2 "imagenet100 is a hundred of ImageNet's classes, name them with --classes FILE"
fi

if stage_is 0 "pictures"; then
    [ "$download" = true ] && prepared+=(--download)
    speakerkd prepare images "$data" --kind "$kind" --root "$root" "${prepared[@]}"
fi
if stage_is 1 "teacher: $teacher on clean pictures"; then
    need 0 "$clean/images.json"
    speakerkd train "$conf/teacher.yaml" "$size" --exp "$taught_by" --resume \
        $(printf -- '--set %s ' "data.train=$clean" "student.name=$teacher" $teacher_set)
    speakerkd classify "$taught_by"
fi
if stage_is 2 "students: $student, $systems"; then
    train() {
        local changes=("data.train=$data" "student.name=$student" "seed=$2" "teacher.weights=$taught_by" "${damage[@]}")
        speakerkd train "$1" "$size" --exp "$3" --resume $(each_set "${changes[@]}" "$set")
    }
    need 1 "$taught_by/model.json"
    at_once_for_each train
fi
if stage_is 3 "evaluate"; then
    gather 2 model.json
    speakerkd classify "${folders[@]}" --data "$data"
fi
if stage_is 4 "report"; then
    gather 2 model.json
    report "$work/exp/$tag.html"
fi
if stage_is 5 "structure of the features"; then
    gather 2 model.json
    speakerkd structure "$taught_by" "${folders[@]}" --out "$work/exp/$tag-structure"
fi
