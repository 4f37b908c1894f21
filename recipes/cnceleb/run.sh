#!/usr/bin/env bash
# CN-Celeb: scores networks that VoxCeleb trained (the first paper's Table 3), or trains one on CN-Celeb itself.
#
#   bash recipes/cnceleb/run.sh --cn1 DIR --models "exp/voxceleb-baseline exp/voxceleb-margin"
#   bash recipes/cnceleb/run.sh --cn1 DIR [--cn2 DIR] [--systems baseline]
#
# Stages: 0 corpus   1 data directories   2 Fbank   3 train (not with --models)   4 score   5 report
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --cn1 DIR         CN-Celeb_flac: data, dev/dev.lst, eval/{enroll,test,lists}
#   --cn2 DIR         CN-Celeb2_flac: data, spk.lst (optional: more speakers to train on)
#   --models "A B"    experiments to score; nothing is trained
#   --systems "A B"   configs of recipes/cnceleb/conf to train (default: baseline);  --seeds "1 2"
#   --join SECONDS    training recordings shorter than this are joined within a speaker and genre (default: 5; 0: none)
#   --size FILE       a config laid over each system's;  --set "a.b=c": settings of every training
#   --launch TEXT     such as "torchrun --nproc-per-node 4": how training is started
#   --tag TEXT        data/TEXT, exp/TEXT-SYSTEM, exp/TEXT.html (default: cnceleb)
#   --work DIR        where data/ and exp/ go (default: the checkout);  --jobs N: processes for data preparation
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=5 cn1='' cn2='' models='' systems=baseline seeds=1 join=5 size='' set='' launch='' tag=cnceleb work='' jobs=0
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/cnceleb/conf data=${work:+$work/}data/cnceleb exp=${work:+$work/}exp/$tag
read -ra folders <<<"$models"
if [ -z "$models" ]; then
    for system in $systems; do for seed in $seeds; do
        [ -f "$conf/$system.yaml" ] || fail 1 "no config $conf/$system.yaml, see ls $conf"
        folders+=("$(folder_of "$system" "$seed")")
    done; done
fi

if stage_is 0 "corpus"; then
    given cn1
    ls -d "$cn1"/data "$cn1"/eval/{enroll,test,lists/trials.lst,lists/enroll.lst} ${cn2:+"$cn2"/data "$cn2"/spk.lst}
fi
if stage_is 1 "data directories"; then
    given cn1
    speakerkd prepare cnceleb "$data" --cn1 "$cn1" ${cn2:+--cn2 "$cn2"} --join "$join" --jobs "$jobs" \
        $([ -z "$models" ] || echo --no-train)
fi
if stage_is 2 "Fbank"; then
    need 1 "$data/eval/wav.scp"
    for part in $([ -n "$models" ] || echo train) eval; do need 1 "$data/$part/wav.scp"; speakerkd fbank "$data/$part" --jobs "$jobs"; done
fi
if [ -z "$models" ] && stage_is 3 "train $systems"; then
    need 2 "$data/train/feats.scp"
    for folder in "${folders[@]}"; do
        system=${folder#"$exp-"}; seed=${system##*-seed}; [ "$seed" != "$system" ] || seed=$seeds
        # shellcheck disable=SC2086
        ${launch:+$launch --no-python} speakerkd train "$conf/${system%-seed*}.yaml" ${size:+"$size"} --exp "$folder" --resume \
            --set seed="$seed" --set data.train="$data/train" $(each_set "$set")
    done
fi
if stage_is 4 "score"; then # both enrolments: the mean of a model's embeddings, and its joined recording
    need 2 "$data/eval/feats.scp"
    for folder in "${folders[@]}"; do
        need 3 "$folder/model.json"
        speakerkd score --model "$folder" --data "$data/eval" --trials "$data/eval/trials_eval" --enrol "$data/eval/enroll.map" --by "$data/eval/utt2genre"
        speakerkd score --model "$folder" --data "$data/eval" --trials "$data/eval/trials_concat" --by "$data/eval/utt2genre"
    done
fi
if stage_is 5 "report"; then
    for folder in "${folders[@]}"; do need 4 "$folder/results.json"; done
    speakerkd report "${folders[@]}" --out "$exp.html" --left-out "$data/left_out.tsv" --published
fi
