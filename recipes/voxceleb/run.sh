#!/usr/bin/env bash
# Teaches a speaker-verification network with a face network, then scores it and matches voices to faces.
#
#   bash recipes/voxceleb/run.sh [--stage N] [--stop-stage M] [--corpus mini|voxceleb|folder] [options]
#
# Stages: 0 corpus   1 data directories   2 Fbank, faces, teacher   3 train   4 score   5 match   6 report
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --corpus mini        made here from packages, no download (the default)
#   --corpus voxceleb    yours: --voxceleb2 DIR (dev/aac, dev/mp4) --voxceleb1 DIR (wav, lists) --weights IR50.pth
#   --corpus folder      your own pairs: --audio-root DIR --image-root DIR --pattern REGEX --weights FILE
#   --musan DIR          noises for the noisy scores (mini makes its own)
#   --teacher NAME       ir50 (default), mobilefacenet, inception, or an experiment; mini trains its own
#   --systems "A B"      configs of recipes/voxceleb/conf to train and compare
#   --seeds "1 2 3"      training seeds; one gives plain figures, several give mean and deviation
#   --size FILE          a config laid over each system's, such as a smaller network; mini has conf/size/mini.yaml
#   --tag TEXT           kept apart from other runs: data/TEXT and exp/TEXT-SYSTEM (default: the corpus's name)
#   --people N           people of the mini corpus;  --test-speakers N, --split-seed N: held out of a folder corpus
#   --jobs N             processes for data preparation
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=6 corpus=mini tag=
voxceleb1='' voxceleb2='' musan='' audio_root='' image_root='' pattern=''
teacher=ir50 weights='' systems="baseline margin" seeds=1 size=''
people=100 test_speakers=8 split_seed=0 jobs=0
source tools/parse_options.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/voxceleb/conf
tag=${tag:-$corpus}
data=data/$tag
case $corpus in
    mini) scored=vox1 teacher=exp/$tag-face_teacher size=${size:-$conf/size/mini.yaml} musan=${musan:-$data/corpus/musan} ;;
    voxceleb) scored=vox1 ;;
    folder) scored=test ;;
    *) echo "run.sh: error: unknown corpus '$corpus', use mini, voxceleb or folder" >&2; exit 2 ;;
esac

log() { echo "$(date +%H:%M:%S) run.sh: $*"; }
stage_is() { [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] && log "stage $1: $2"; }
need() { # need STAGE FILE...: what a stage stands on
    local made_by=$1 file; shift
    for file in "$@"; do
        [ -e "$file" ] || { echo "run.sh: error: $file is missing, stage $made_by makes it: bash $0 --corpus $corpus --stage $made_by" >&2; exit 1; }
    done
}
given() { # given OPTION...: options that the corpus needs
    local name variable
    for name in "$@"; do
        variable=${name//-/_}
        [ -n "${!variable}" ] || { echo "run.sh: error: --corpus $corpus needs --$name, see bash $0 --help" >&2; exit 2; }
    done
}
each_experiment() { # each_experiment COMMAND...: run it with the system's config, the seed and the experiment's folder
    local system seed
    for system in $systems; do
        need 0 "$conf/$system.yaml"
        for seed in $seeds; do "$@" "$system" "$seed" "exp/$tag-$system$([ "$seeds" = "$seed" ] || echo "-seed$seed")"; done
    done
}

if stage_is 0 "the corpus"; then
    case $corpus in
        mini) speakerkd prepare mini "$data/corpus" --identities "$people" --jobs "$jobs" ;;
        voxceleb) given voxceleb1 voxceleb2 weights; need 0 "$voxceleb1/wav" "$voxceleb2/dev/aac" "$voxceleb2/dev/mp4" "$weights" ;;
        folder) given audio-root image-root pattern weights; need 0 "$audio_root" "$image_root" "$weights" ;;
    esac
fi

if stage_is 1 "data directories"; then
    case $corpus in
        mini) need 0 "$data/corpus/vox1"
            speakerkd prepare voxceleb "$data" --vox1 "$data/corpus/vox1" --vox2 "$data/corpus/vox2" --jobs "$jobs" ;;
        voxceleb) given voxceleb1 voxceleb2
            speakerkd prepare voxceleb "$data" --vox1 "$voxceleb1" --vox2 "$voxceleb2" --jobs "$jobs" ;;
        folder) given audio-root image-root pattern
            speakerkd prepare folder "$data" --audio-root "$audio_root" --image-root "$image_root" --pattern "$pattern" \
                --test-speakers "$test_speakers" --seed "$split_seed" --jobs "$jobs" ;;
    esac
fi

if stage_is 2 "Fbank, faces, teacher"; then
    need 1 "$data/train/wav.scp" "$data/test/wav.scp" "$data/$scored/wav.scp"
    for part in $(printf '%s\n' train test $scored | sort -u); do speakerkd fbank "$data/$part" --jobs "$jobs"; done
    for part in train test; do speakerkd faces "$data/$part" --jobs "$jobs" --max-rejected 0.05; done
    if [ "$corpus" = mini ]; then
        speakerkd train $conf/face_teacher.yaml --exp "$teacher" --set data.train="$data/train" --resume
    else
        given weights
    fi
    for part in train test; do speakerkd teach "$data/$part" --teacher "$teacher" ${weights:+--weights "$weights"}; done
    speakerkd teach "$data/train" --teacher "$teacher" ${weights:+--weights "$weights"} --head
fi

if stage_is 3 "train: $systems"; then
    need 2 "$data/train/feats.scp" "$data/train/teacher.scp"
    train() {
        speakerkd train "$conf/$1.yaml" ${size:+"$size"} --exp "$3" --resume --set seed="$2" --set data.train="$data/train"
    }
    each_experiment train
fi

if stage_is 4 "score"; then
    need 2 "$data/$scored/feats.scp"
    score() {
        need 3 "$3/model.json"
        speakerkd score --model "$3" --data "$data/$scored" $(printf -- '--trials %s ' "$data/$scored"/trials_*)
        [ -z "$musan" ] || speakerkd score --model "$3" --data "$data/$scored" --trials "$data/$scored/trials_original" --noise "$musan" --db 15 10 5
    }
    each_experiment score
fi

if stage_is 5 "match voices and faces of people it never saw"; then
    need 2 "$data/test/teacher.scp"
    match() {
        need 3 "$3/model.json"
        speakerkd match --data "$data/test" --model "$3"
    }
    each_experiment match
fi

if stage_is 6 "report"; then
    folders=()
    collect() { need 4 "$3/results.json"; folders+=("$3"); }
    each_experiment collect
    speakerkd report "${folders[@]}" --out "exp/$tag.html"
fi
