#!/bin/bash
# The 18 networks of an experiment such as cub-methods, each trained and evaluated on a GPU of its own, in
# whole batches of 32 as the protocol has them:
#     sbatch experiments/slurm-methods.sh cub-methods
# Afterwards `wsol compare experiments/cub-methods.yaml --store wsol-results` writes the table of all.
#SBATCH --job-name=wsol-methods
#SBATCH --array=0-17
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=12
#SBATCH --time=48:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
networks=("VGG-GAP" "Inception v3" "ResNet-50")
methods=(CAM HaS ACoL SPG ADL CutMix)
number=${SLURM_ARRAY_TASK_ID:?is set in a job array}
exec wsol compare "experiments/$1.yaml" \
    --only "${networks[number / 6]} ${methods[number % 6]}" \
    --store "${STORE:-wsol-results}" --out "runs/$1/part-$number"
