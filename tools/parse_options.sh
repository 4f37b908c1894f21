# Source this after a script's defaults: `--some-option VALUE` sets the variable some_option, which must have a default.
# `--some-switch` alone sets one whose default is false to true.
# A script that sets `pass_on=()` before gets the options that it does not know there, with their values, to hand them on.
# `--help` prints the comment block at the head of the script. An unknown option, or one without a value, ends the script.

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            _name=$0; [ -e "$_name" ] || _name=$OLDPWD/$0 # a script that has gone to its checkout's root
            sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$_name"
            exit 0 ;;
        --*)
            _name=${1#--}; _name=${_name%%=*}; _name=${_name//-/_}
            if ! [[ $_name =~ ^[a-z_0-9]+$ ]] || [ -z "${!_name+set}" ]; then
                if [[ $_name =~ ^[a-z_0-9]+$ ]] && declare -p pass_on >/dev/null 2>&1; then
                    pass_on+=("$1"); shift
                    while [ $# -gt 0 ] && [[ $1 != --* ]]; do pass_on+=("$1"); shift; done
                    continue
                fi
                echo "$0: error: unknown option $1, see $0 --help" >&2; exit 2
            fi
            if [[ $1 == *=* ]]; then
                printf -v "$_name" '%s' "${1#*=}"; shift
            elif [ "${!_name}" = false ] && { [ $# -eq 1 ] || [[ $2 == --* ]]; }; then # a switch needs no value
                printf -v "$_name" true; shift
            elif [ $# -ge 2 ]; then
                printf -v "$_name" '%s' "$2"; shift 2
            else
                echo "$0: error: option $1 needs a value, see $0 --help" >&2; exit 2
            fi ;;
        *)
            echo "$0: error: unexpected argument '$1', options are written --name VALUE, see $0 --help" >&2; exit 2 ;;
    esac
done
unset _name
