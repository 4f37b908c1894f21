#!/usr/bin/env bash
# Teaches a speaker-verification network with a face network, then scores it and matches voices to faces.
#
#   bash recipes/voxceleb/run.sh [--stage N] [--stop-stage M] [--corpus mini|voxceleb|folder] [options]
#
# Stages: 0 corpus   1 data directories   2 Fbank, faces, teacher   3 train   4 score   5 match   6 report
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
#   --corpus mini        made here from packages, no download (the default); --people N of them
#   --corpus voxceleb    yours: --voxceleb2 DIR (dev/aac, dev/mp4) --voxceleb1 DIR (wav, lists) --weights IR50.pth;
#                        --lists DIR: trial lists and meta tables, where they lie elsewhere
#   --corpus folder      your own pairs: --audio-root DIR --image-root DIR --pattern REGEX --weights FILE, and
#                        --test-speakers N held out, drawn by --split-seed N; or --folds N, of which --fold K, from 0, is;
#                        with --development that one is left out of everything, and the next is tested: to choose settings
#   --teacher NAME       ir50 (default), any other of `speakerkd embed-teacher`, or an experiment; mini's is sface
#   --musan DIR          noises for the noisy scores (mini makes its own); none: leave them out
#   --systems "A B"      configs of recipes/voxceleb/conf to train and compare
#   --seeds "1 2 3"      training seeds; several give mean and deviation: exp/TAG-SYSTEM, exp/TAG-SYSTEM-seed2, ...
#   --at-once N          systems that run beside each other, each on its share of the cores (default: 1)
#   --size FILE          a config laid over each system's, such as a smaller network; mini has conf/size/mini.yaml. Over
#                        face networks (Table 2, Fig. 1) goes the file of that name in the folder face/ beside it
#   --tag TEXT           keeps runs apart: data/TEXT, exp/TEXT-SYSTEM, exp/TEXT.html (default: the corpus's name)
#   --prefix TEXT        begins the experiments' names on the same data: exp/TEXT-SYSTEM (default: the tag)
#   --work DIR           where data/ and exp/ go (default: the checkout);  --jobs N: processes for data preparation
#   --dry-run            shows what of VoxCeleb is here, what is missing and lost without it, what each stage will cost
#   --measure SECONDS    stage 0 measures for so long what VoxCeleb's stages will cost
#   --check              stage 3 sees whether every system's settings, data and networks fit, and trains none; on VoxCeleb,
#                        where a training lasts days, it does so before the first one in any case
#   --set "a.b=c d=e"    settings of every training;  --launch "torchrun --nproc-per-node 4": how it is started
#   --augment            strong*.yaml: train on copies with MUSAN's noises, rooms (--rirs DIR) and speeds 0.9 and 1.1 too
#   --same-session       matching: a voice may be asked for the face of its own video
#   --published true     puts the first paper's figures beside ours
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=6 corpus=mini tag='' prefix='' work='' jobs=0 published=false
voxceleb1='' voxceleb2='' musan='' audio_root='' image_root='' pattern='' teacher=ir50 weights=''
systems="baseline margin" seeds=1 at_once=1 size='' people=100 test_speakers=8 folds=0 fold=0 development=false split_seed=0
rirs='' augment=false lists='' dry_run=false check=false measure=0 set='' launch='' same_session=false noise_db="15 10 5"
source tools/parse_options.sh
source tools/recipe.sh
bash tools/install.sh
PATH=$PWD/.venv/bin:$PATH

conf=recipes/voxceleb/conf
data=${work:+$work/}data/${tag:=$corpus} exp=${work:+$work/}exp/${prefix:-$tag}
case $corpus in
    mini) scored=vox1 voxceleb1=$data/corpus/vox1 voxceleb2=$data/corpus/vox2 musan=${musan:-$data/corpus/musan}
        teacher=sface noise_db=10 size=${size:-$conf/size/mini.yaml} ;;
    voxceleb) scored=vox1 ;;
    folder) scored=test ;;
    *) fail 2 "unknown corpus '$corpus', use mini, voxceleb or folder" ;;
esac

parts() { # parts SECONDS: what of VoxCeleb is here, and what the stages cost by so long a measurement
    speakerkd doctor --corpus voxceleb ${voxceleb1:+--vox1 "$voxceleb1"} ${voxceleb2:+--vox2 "$voxceleb2"} --measure "$1" \
        ${lists:+--lists "$lists"} ${musan:+--musan "$musan"} ${weights:+--weights "$weights"} ${work:+--work "$work"} \
        --systems "$(($(wc -w <<<"$systems") * $(wc -w <<<"$seeds")))" "${@:2}"
}

if [ "$dry_run" = true ]; then parts 10; exit; fi
if stage_is 0 "corpus"; then
    case $corpus in
        mini) speakerkd prepare mini "$data/corpus" --identities "$people" --jobs "$jobs" ;;
        voxceleb) given voxceleb1 voxceleb2; parts "$measure" --left-out "$data/left_out.tsv" ;;
        folder) given audio_root image_root pattern
            [ "$teacher" = sface ] || [ -d "$teacher" ] || given weights # SFace's come with a package
            ls -d "$audio_root" "$image_root" ${weights:+"$weights"} ;;
    esac
fi
if stage_is 1 "data directories"; then
    if [ "$corpus" = folder ]; then
        given audio_root image_root pattern
        speakerkd prepare folder "$data" --audio-root "$audio_root" --image-root "$image_root" --pattern "$pattern" \
            $([ "$folds" -eq 0 ] && echo --test-speakers "$test_speakers" || echo --folds "$folds" --fold "$fold") \
            $([ "$development" = false ] || echo --development) \
            --seed "$split_seed" --jobs "$jobs"
    else
        given voxceleb1 voxceleb2
        need 0 "$voxceleb1" "$voxceleb2"
        speakerkd prepare voxceleb "$data" --vox1 "$voxceleb1" --vox2 "$voxceleb2" ${lists:+--lists "$lists"} --jobs "$jobs"
    fi
fi
if stage_is 2 "Fbank, faces, teacher"; then
    need 1 "$data"/{train,$scored}/wav.scp
    [ "$systems" = baseline ] || [ -f "$data/train/face.scp" ] ||
        fail 1 "no faces in $data/train (dev/mp4 of VoxCeleb2), nothing can teach: give --systems baseline"
    for part in $(printf '%s\n' train test $scored | sort -u); do
        [ ! -d "$data/$part" ] || speakerkd fbank "$data/$part" --jobs "$jobs"
        [ ! -f "$data/$part/face.scp" ] || speakerkd faces "$data/$part" --jobs "$jobs" --max-rejected 0.05 $([ "$corpus" != voxceleb ] || echo --pack)
    done
    [ "$systems" = baseline ] || embed_parts --classifier "$teacher" ${weights:+--weights "$weights"}
    [ "$augment" = false ] || speakerkd augment "$data/train" ${musan:+--musan "$musan"} ${rirs:+--rirs "$rirs"} \
        --speeds 0.9 1.1 --jobs "$jobs"
    weak_teacher
fi
if stage_is 3 "train $systems"; then
    need 2 "$data/train/feats.scp"
    [ "$systems" = baseline ] || need 2 "$data/train/teacher.scp"
    train() { # train CONFIG SEED EXPERIMENT OPTIONS...
        local copies width=${1##*/audio_}; strong_set "$1"
        [ "$width" != "$1" ] || width='' # Fig. 1: whatever size is laid over, the width is the one that it compares
        # shellcheck disable=SC2086
        ${launch:+$launch --no-python} speakerkd train "$1" $(size_of "$1") --exp "$3" --resume --set seed="$2" \
            --set data.train="$data/train" ${width:+student.width="${width%.yaml}"} $(each_set "$set") "${copies[@]}" "${@:4}"
    }
    fits() { launch='' train "$@" --check >/dev/null && echo "settings, data and networks fit: $3"; }
    if [ "$check" = true ] || [ "$corpus" = voxceleb ]; then seeds=${seeds%% *} for_each fits; fi
    [ "$check" = false ] || exit 0
    at_once_for_each train
fi
if stage_is 4 "score"; then
    score() {
        local network networks; need 3 "$3/model.json"
        mapfile -t networks < <(networks_of "$3")
        for network in "${networks[@]}"; do
            speakerkd score --model "$network" --data "$data/$scored" --trials "$data/$scored"/trials_*
            [ "${musan:-none}" = none ] || speakerkd score --model "$network" --data "$data/$scored" \
                --trials "$(ls "$data/$scored"/trials_{original,cleaned} 2>/dev/null | head -1)" --noise "$musan" --db $noise_db
        done
    }
    at_once_for_each score
fi
if stage_is 5 "match voices and faces of people it never saw"; then
    match() {
        local network networks; need 3 "$3/model.json"
        mapfile -t networks < <(networks_of "$3")
        for network in "${networks[@]}"; do
            [ ! -d "$3/teacher" ] || embed_parts "" "$3/teacher${network#"$3"}" --name "$(basename "$3")_$(basename "$network")"
            speakerkd match-test "$data/test" --model "$network" --fit "$data/train" \
                $([ "$same_session" = false ] || echo --same-session) \
                $([ "$corpus" != mini ] || echo --examples "$network/examples.png") # other corpora's faces are not ours to show
        done
    }
    if ls "$data"/test/teacher*.scp >/dev/null 2>&1; then at_once_for_each match
    else echo "left out: no matching, $data/test has no faces with a teacher's embeddings"; fi
fi
if stage_is 6 "report"; then
    gather 4 results.json
    compare_with baseline
    report "$exp.html" $([ "$corpus" != voxceleb ] || echo --left-out "$data/left_out.tsv")
fi
