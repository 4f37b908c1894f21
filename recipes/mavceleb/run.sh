#!/usr/bin/env bash
# Face-voice association across languages (the FAME challenge): trains on one language, writes score files of both.
#
#   bash recipes/mavceleb/run.sh --root DIR --lists DIR [--version v3] [--heard English] --teacher NAME --weights FILE
#
# Stages: 1 data directories   2 Fbank, faces, teacher   3 train   4 score files
#
#   --root DIR        the corpus: voices/ and faces/, as the lists name them;  --lists DIR: *_train.txt, *_test.txt
#   --version v1      v1: English, Urdu; v2: English, Hindi; v3: English, German;  --heard LANGUAGE: that is trained on
#   --teacher NAME    as `speakerkd embed-teacher` takes it, with --weights FILE
#   --systems "A B"   configs of recipes/mavceleb/conf;  --init EXP: a network to start from (`speakerkd import`)
#   --labels DIR      test_heard.txt and test_unheard.txt of `KEY 0|1`, where they are known
#   --work DIR        where data/ and exp/ go;  --jobs N: processes;  --set "a.b=c": settings of every training
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=1 stop_stage=4 root='' lists='' version=v3 heard=English teacher=ir50 weights='' systems="fop margin"
init='' labels='' work='' jobs=0 set=''
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

tag=$version-$heard data=${work:+$work/}data/mavceleb/$version-$heard exp=${work:+$work/}exp/mavceleb-$version-$heard
given root

if stage_is 1 "data directories of $tag"; then
    speakerkd prepare mavceleb "$data" --root "$root" ${lists:+--lists "$lists"} --version "$version" --heard "$heard" --jobs "$jobs"
fi
if stage_is 2 "Fbank, faces, teacher"; then
    for part in "$data"/train "$data"/test_*; do
        [ -f "$part/wav.scp" ] || continue
        speakerkd fbank "$part" ${init:+--like "$init"} --jobs "$jobs"
        speakerkd faces "$part" --jobs "$jobs" --max-rejected 0.1
        speakerkd embed-teacher "$part" --teacher "$teacher" ${weights:+--weights "$weights"}
    done
fi
if stage_is 3 "train"; then
    for system in $systems; do
        speakerkd train "recipes/mavceleb/conf/$system.yaml" ${init:+"$init/finetune.yaml"} --exp "$exp-$system" --resume \
            --set "data.train=$data/train" $(each_set "$set")
    done
fi
if stage_is 4 "score files"; then
    for system in $systems; do
        for part in heard unheard; do # the files' names are those of the baseline's computeScore.py
            [ -f "$data/test_$part/wav.scp" ] || continue
            read -r _ language <"$data/test_$part/utt2lang"
            known=${labels:+$labels/test_$part.txt}
            speakerkd fame "$data/test_$part" --model "$exp-$system" ${known:+--labels "$known"} \
                --out "$exp-$system/sub_score_${version}_${language}_$part.txt"
        done
    done
fi
