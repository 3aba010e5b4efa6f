#!/bin/bash
# Four shards of the nightly cases, each on a node of its own, and one judge over all of them:
#
#     job=$(sbatch --parsable slurm-array.sh)
#     sbatch --dependency=afterany:"$job" slurm-judge.sh "$job"
#
# A shard that failed for want of a node is run again with its number and the job that it belongs to. Then judge anew:
#
#     sbatch --array=3 slurm-array.sh "$job"
#
#SBATCH --job-name=sgdiff
#SBATCH --array=1-4
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
#SBATCH --no-requeue
#SBATCH --output=sgdiff-%A-%a.log
set -euo pipefail

shards=4  # as --array says it; SLURM_ARRAY_TASK_COUNT is another number where one shard is run again
export SGDIFF_JOB=${1:-$SLURM_ARRAY_JOB_ID}
export SGDIFF_LOCK_DIR=/var/lock/sgdiff
# A folder for each job: what an earlier night left must not pass for this one.
out=$SLURM_SUBMIT_DIR/recordings/$SGDIFF_JOB/$SLURM_ARRAY_TASK_ID

# srun passes on the signal of scancel, which a batch script does not get.
exec srun --ntasks=1 pytest cases -m nightly --sgdiff-gpus=all --sgdiff-strict -n 4 \
    --sgdiff-shard="$SLURM_ARRAY_TASK_ID/$shards" --sgdiff-out="$out"
