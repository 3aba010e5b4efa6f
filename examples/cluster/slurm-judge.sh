#!/bin/bash
# Joins the recordings of slurm-array.sh and judges them, without a GPU: sbatch slurm-judge.sh JOB
#SBATCH --job-name=sgdiff-judge
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --time=00:30:00
#SBATCH --output=sgdiff-judge-%j.log
set -uo pipefail

recordings=$SLURM_SUBMIT_DIR/recordings/$1
# A folder for each judge: a shard that was run again changes what is joined.
merged=$recordings/merged-$SLURM_JOB_ID

# 1: a shard is missing. What there is is judged all the same, and the judge fails for the rest.
status=0
sgdiff merge "$recordings"/[0-9]* --out "$merged" || status=$?
if ((status > 1)); then exit "$status"; fi

# The cases that the shards were given, or the judge asks for others than they measured.
pytest cases -m nightly --sgdiff-replay="$merged" --sgdiff-strict --sgdiff-report="$recordings/report.html" || status=$?
exit "$status"
