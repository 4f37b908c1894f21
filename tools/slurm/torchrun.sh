#!/usr/bin/env bash
# One training over the GPUs of several nodes, as a job:
#
#   sbatch --nodes 2 --gres gpu:4 --ntasks-per-node 1 tools/slurm/torchrun.sh recipes/voxceleb/conf/margin.yaml --resume
#
# Any arguments of `speakerkd train`. Elsewhere than in Slurm, start the same torchrun line on each node.
set -euo pipefail
host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
exec srun bash -c "exec .venv/bin/torchrun --nnodes $SLURM_NNODES --nproc-per-node ${SLURM_GPUS_ON_NODE:-1} \
    --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID --rdzv-endpoint $host:29400 --no-python .venv/bin/speakerkd train $(printf '%q ' "$@")"
