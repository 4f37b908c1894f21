# What the recipes' scripts share: source it after tools/parse_options.sh. The script has the variables stage and
# stop_stage; systems, seeds, `conf` (the folder of its configs) and `exp` (how its experiments' names begin); and, where
# it takes them, corpus, data, tag, variant, size, augment, at_once and published.

stage_is() { # stage_is N TEXT: true if stage N is to be run, which it then announces
    [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] && echo "$(date +%H:%M:%S) stage $1: $2"
}

need() { # need STAGE FILE...: what a stage stands on, and which stage makes it
    local file
    for file in "${@:2}"; do
        [ -e "$file" ] || fail 1 "no $file, make it with: bash $0${corpus:+ --corpus $corpus}${tag:+ --tag $tag} --stage $1"
    done
}

given() { # given NAME...: options that the corpus needs
    local name
    for name in "$@"; do
        [ -n "${!name}" ] || fail 2 "${corpus:+--corpus $corpus }needs --${name//_/-}, see bash $0 --help"
    done
}

for_each() { # for_each FUNCTION: call it with config, seed and experiment folder of every system
    local system seed config
    for system in $systems; do
        config=$(config_of "$system")
        for seed in $seeds; do "$1" "$config" "$seed" "$(folder_of "$system" "$seed")"; done
    done
}

at_once_for_each() { # at_once_for_each FUNCTION: the same, `at_once` of them at a time, each on its share of the cores;
    # then every line begins with the experiment that it is of
    local running=() failed=0 call=$1 threads=$(($(nproc) / at_once))
    [ "$at_once" -gt 1 ] || { for_each "$call"; return; }
    start() {
        if [ ${#running[@]} -ge "$at_once" ]; then wait "${running[0]}" || failed=1; running=("${running[@]:1}"); fi
        { # a group, whose status is the call's
            OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))} "$call" "$@" | sed -u "s/^/$(basename "$3"): /"
        } &
        running+=($!)
    }
    for_each start
    for run in "${running[@]}"; do wait "$run" || failed=1; done # what runs beside one that fails is brought to its end
    return $failed
}

networks_of() { # networks_of EXPERIMENT: its network, and the parts of one that learnt together with a face's
    echo "$1"
    ls -d "$1"/{inv,inf} 2>/dev/null || true
}

gather() { # gather STAGE FILE: `folders` are the experiments of all systems and seeds; FILE of each is that stage's
    folders=()
    gather_one() {
        local network networks
        mapfile -t networks < <(networks_of "$3")
        for network in "${networks[@]}"; do need "$gathered_by" "$network/$gathered"; folders+=("$network"); done
    }
    local gathered_by=$1 gathered=$2
    for_each gather_one
}

report() { # report PAGE OPTIONS...: the page of `folders`, beside the papers' figures with --published true
    speakerkd report "${folders[@]}" --out "$1" "${@:2}" $([ "$published" = false ] || echo --published)
}

embed_parts() { # embed_parts ALSO TEACHER OPTIONS...: the teacher's outputs for the parts of `data` that have faces;
    local part  # ALSO: an option of the training part alone, such as --classifier
    for part in train test; do
        # shellcheck disable=SC2086
        [ ! -f "$data/$part/aligned.scp" ] || speakerkd embed-teacher "$data/$part" --teacher "${@:2}" $([ $part = test ] || echo $1)
    done
}

weak_teacher() { # weak_teacher: where systems want one (Table 2), train it on the corpus's own faces, and embed
    [[ " $systems" == *weak_* ]] || return 0
    # shellcheck disable=SC2046
    speakerkd train "$conf/face_teacher.yaml" $(size_of face_teacher) --exp "$exp-weak_teacher" --resume --set data.train="$data/train"
    embed_parts --classifier "$exp-weak_teacher" --name weak
}

strong_set() { # strong_set CONFIG: `copies` are a strong config's settings for training on what `augment` made
    local kind kinds=''
    copies=()
    [ "$augment" = true ] && [[ $1 == */strong* ]] || return 0
    for kind in noise music babble reverb; do
        [ ! -d "$data/train_$kind" ] || kinds=${kinds:+$kinds, }$data/train_$kind
    done
    copies=(--set "data.train=[$data/train, $data/train_sp0.9, $data/train_sp1.1]" --set "data.copies=[$kinds]")
}

config_of() { # config_of SYSTEM: its config in `conf` or in a folder there
    local config
    config=$(ls "$conf/$1.yaml" "$conf"/*/"$1.yaml" 2>/dev/null | head -1 || true)
    [ -n "$config" ] || fail 1 "no config $conf/$1.yaml, see ls $conf"
    echo "$config"
}

folder_of() { # folder_of SYSTEM SEED: its experiment's folder; the first of several seeds has the plain name
    echo "$exp-${1##*/}${variant:+_$variant}$([ "$2" = "${seeds%% *}" ] || echo "-seed$2")"
}

size_of() { # size_of CONFIG: the file `size` that is laid over it, a face network's own of that name in face/ beside it
    local own=$size
    [[ ${1##*/} != face_* ]] || own=$(dirname "$size")/face/$(basename "$size")
    [ -z "$size" ] || [ ! -f "$own" ] || echo "$own"
}

compare_with() { # compare_with BASELINE: is each other system better than this one, where it is among them?
    [[ " $systems " == *" $1 "* ]] || return 0
    local system
    for system in $systems; do
        # shellcheck disable=SC2046
        [ "$system" = "$1" ] || speakerkd compare $(all_seeds "$system") --baseline $(all_seeds "$1")
    done
}

all_seeds() { # all_seeds SYSTEM: its experiments' folders
    local seed
    for seed in $seeds; do folder_of "$1" "$seed"; done
}

each_set() { # each_set "a.b=c d=e": --set a.b=c --set d=e
    # shellcheck disable=SC2086
    [ -z "$*" ] || printf -- '--set %s ' $*
}

fail() { # fail STATUS TEXT: say what is wrong, and stop
    echo "$(basename "$0"): error: $2" >&2
    exit "$1"
}
