#!/bin/sh
#SBATCH --job-name=moce
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --requeue
# A folder on a shared file system, done by the eight tasks of a Slurm array:
#
#   sbatch examples/slurm_array.sh photos/ restored/
#
# A picture's share depends on its name alone, so that all tasks agree without a word. --resume makes
# a task that was stopped, or is sent again, go on where it was; a failed picture ends no task.
set -eu
shard="${SLURM_ARRAY_TASK_ID:?this is to be run by sbatch}/${SLURM_ARRAY_TASK_COUNT:?}"
exec moce restore "$1" -o "$2" --shard "$shard" --resume --threads "${SLURM_CPUS_PER_TASK:-4}" -q
