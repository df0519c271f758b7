#!/bin/bash
# An experiment that trains nothing, its images shared among the GPUs of a machine:
#     sbatch experiments/slurm.sh ilsvrc-val
# (and files whose trainings may share their batches). Variables of the data are taken along.
#SBATCH --job-name=wsol
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=12
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
srun --kill-on-bad-exit=1 wsol compare "experiments/$1.yaml" --store "${STORE:-wsol-results}"
