#!/usr/bin/env bash
# Trains and scores what one of the first paper's tables or figures compares, and prints ours beside the published figures.
#
#   bash recipes/voxceleb/compare.sh [--table 1|2|3|4|5|6|all] [--figure 1|6|7|8] [options of run.sh]
#
#   --table 1      every method it compares                --figure 1   three widths of voices, faces, IR-50, and both
#   --table 2      teachers, and a quarter of the data     --figure 6   training accuracy and EER by epoch
#   --table 3      on CN-Celeb: --cn1 DIR                  --figure 7   examples of matching, with their cosines
#   --table 4      matching voices and faces               --figure 8   map of faces, projected faces and voices
#   --table 5, 6   mixing ratio, margins                   --table all  every method here that fits face to voice
#
#   --seeds "1 2"  training seeds (default: 1)             --gpus N     N systems at a time, a GPU each
#   --dry-run      what it would cost, and no more         --slurm "OPTIONS"  systems as an array of jobs of sbatch
#
# On VoxCeleb: --corpus voxceleb and the options that it needs. Without: the mini corpus at half its training length
# (conf/size/mini_short.yaml), without noise. A system that several tables share is trained once (alpha 0.6 and cos 30 are
# `margin`); a run that was broken off goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
table='' figure='' corpus=mini seeds=1 gpus=1 slurm='' cn1='' dry_run=false stage=0 tag='' prefix='' work=''
pass_on=() # to run.sh
source tools/parse_options.sh
source tools/recipe.sh
options=("${pass_on[@]}")
[ -n "$table$figure" ] || table=1
case ${table:-figure $figure} in
    1) systems="baseline kd fitnet pkt sp ickd ccl margin classifier margin_quality" ;;
    2) systems="$(printf 'ablation/quarter_%s ' baseline margin classifier weak_margin weak_classifier) \
        baseline margin classifier ablation/weak_margin ablation/weak_classifier" ;;
    3) systems="baseline margin" ;;
    4) systems="fitnet pkt ickd ccl classifier margin" ;;
    5) systems="$(printf 'ablation/alpha_%s ' 0.2 0.4 0.5) margin ablation/alpha_0.8" ;;
    6) systems="$(printf 'ablation/margin_%s ' 0 cos10 cos20) margin $(printf 'ablation/margin_%s ' cos40 cos50)" ;;
    all) systems="baseline kd lskd dkd ctkd alkd simkd fitnet afkd vid sp pkt rkd cc ickd crd ccl clip dimensional margin classifier margin_quality margin_classifier" ;;
    "figure 1") systems="ablation/audio_0.25 ablation/audio_0.5 baseline" ;;
    "figure 6") systems="baseline margin classifier" ;;
    "figure 7" | "figure 8") systems=margin ;;
    *) fail 2 "no table '$table' or figure '$figure', see bash $0 --help" ;;
esac
tag=${tag:-$corpus} prefix=${prefix:-$tag} test=${work:+$work/}data/$tag/test
if [ "$corpus" = mini ]; then # on egs/mini's data, in experiments of its own
    prefix=${prefix}_short
    [[ " ${options[*]} " == *" --size "* ]] || options+=(--size recipes/voxceleb/conf/size/mini_short.yaml)
    [[ " ${options[*]} " == *" --musan "* ]] || options+=(--musan none)
fi
if [ "$figure" = 6 ]; then # EER by epoch: the tables' trainings are not evaluated on the way, so these are others
    prefix=${prefix}_by_epoch
    options+=(--set "data.dev=${work:+$work/}data/$tag/vox1 train.evaluate_every=1")
fi
[[ "$figure" != 1 || " ${options[*]} " != *" --size "* ]] || systems=${systems/baseline/ablation/audio_1} # a size has its width
exp=${work:+$work/}exp/$prefix
shared=(--corpus "$corpus" --tag "$tag" --prefix "$prefix" --seeds "$seeds" --published true "${options[@]}")
[ -z "$work" ] || shared+=(--work "$work")
run() { bash recipes/voxceleb/run.sh "${shared[@]}" "$@"; }

done=0 all=0
for system in $systems; do
    for seed in $seeds; do
        all=$((all + 1))
        [ ! -e "$(folder_of "$system" "$seed")/model.json" ] || done=$((done + 1))
    done
done
echo "compare.sh: table ${table:-none}, figure ${figure:-none}: $all trainings, $done of them done"
if [ "$dry_run" = true ]; then
    echo "compare.sh: systems" $systems
    [ "$corpus" = voxceleb ] || exit 0
    run --systems "$systems" --dry-run; exit
fi

[ "$stage" -gt 2 ] || run --systems "$systems" --stage "$stage" --stop-stage 2 --measure 10
if [ -n "$slurm" ] || [ "$gpus" -gt 1 ]; then run --systems "$systems" --stage 3 --stop-stage 3 --check; fi
if [ -n "$slurm" ]; then
    # shellcheck disable=SC2086
    exec bash tools/slurm/array.sh "$slurm" "$systems" "${shared[@]}"
elif [ "$gpus" -gt 1 ]; then # each system's three stages, on the GPUs in turn
    printf '%s\n' $systems | env -u CUDA_VISIBLE_DEVICES xargs -P "$gpus" --process-slot-var=SLOT -I{} \
        bash -c 'CUDA_VISIBLE_DEVICES=$SLOT exec bash recipes/voxceleb/run.sh "$@"' run.sh "${shared[@]}" --systems {} --stage 3 --stop-stage 5
else # Fig. 1 has trials of its own, and Fig. 7 matches below, with pictures
    case $figure in 1) last=3 ;; 7) last=4 ;; *) last=5 ;; esac
    run --systems "$systems" --stage 3 --stop-stage "$last"
fi
PATH=$PWD/.venv/bin:$PATH
case ${table:-figure $figure} in
    3) exec bash recipes/cnceleb/run.sh --cn1 "$cn1" --models "$(printf "$exp-%s " $systems)" --tag "$tag" ${work:+--work "$work"} ;;
    "figure 1") # all over the same trials between VoxCeleb2's test people, whom no network has seen
        speakerkd prepare trials "$test" --count 40000
        cp "$test/trials_original" "$test/trials_identity"
        for system in $systems; do
            speakerkd score --model "$exp-${system##*/}" --data "$test" --trials "$test/trials_identity"
        done
        size=''; for ((i = 0; i < ${#options[@]}; i++)); do [ "${options[i]}" != --size ] || size=${options[i + 1]}; done
        over=$(size_of face_teacher)
        for face in ablation/face_0.25 ablation/face_0.5 face_teacher; do
            name=${face##*/}; name=${name/face_teacher/face_1}
            speakerkd train recipes/voxceleb/conf/$face.yaml ${over:+"$over"} --exp "$exp-$name" --resume \
                --set data.train="${test%test}train" ${over:+--set "student.width=${name#face_}"}
            speakerkd embed-teacher "$test" --teacher "$exp-$name" --name "$name"
            speakerkd score --embeddings "$test/teacher.$name.scp" --trials "$test/trials_identity" --out "$exp-$name"
        done
        speakerkd score --embeddings "$test/teacher.scp" --trials "$test/trials_identity" --out "$exp-face_teacher"
        voices=${systems##*[ /]} # the widest
        speakerkd score --scores "$exp"-{"$voices",face_teacher}/scores/trials_identity.*.txt \
            --trials "$test/trials_identity" --out "$exp-fusion"
        exec speakerkd report "$exp"-{audio_0.25,audio_0.5,"$voices",face_0.25,face_0.5,face_1,face_teacher,fusion} --out "$exp-figure1.html" ;;
    "figure 7") speakerkd match-test "$test" --model "$exp-margin" --fit "${test%test}train" --examples "$exp-figure7.png" ;;
esac
run --systems "$systems" --stage 6
