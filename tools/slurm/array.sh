#!/usr/bin/env bash
# Hands the systems of a comparison to Slurm: one job a system (train, score, match), and one that waits for all and reports.
#
#   bash tools/slurm/array.sh "SBATCH OPTIONS" "SYSTEM SYSTEM ..." OPTIONS OF run.sh
#
# The checkout and the data lie on a disk that all nodes see. A job that was broken off goes on where it stopped when the
# command is given again. Example of options: "--partition gpu --gres gpu:1 --time 3-0 --cpus-per-task 8"
set -euo pipefail
options=$1
read -ra systems <<<"$2"
shift 2
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then # in a job
    exec bash recipes/voxceleb/run.sh "$@" --systems "${systems[SLURM_ARRAY_TASK_ID]}" --stage 3 --stop-stage 5
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck disable=SC2086
job=$(sbatch --parsable $options --chdir "$PWD" --array "0-$((${#systems[@]} - 1))" --job-name speakerkd \
    --output "exp/slurm-%A_%a.log" tools/slurm/array.sh "" "${systems[*]}" "$@")
sbatch --parsable --chdir "$PWD" --dependency "afterok:$job" --job-name speakerkd-report --output "exp/slurm-%j.log" \
    --wrap "bash recipes/voxceleb/run.sh $(printf '%q ' "$@" --systems "${systems[*]}") --stage 6" >/dev/null
echo "array.sh: ${#systems[@]} jobs are $job; the report follows when all are done: squeue --me"
