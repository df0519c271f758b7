#!/bin/sh
# Runs of one experiment beside others of it, image by image: `paired.sh RECORDS OUT REFERENCE...`
# writes OUT/against-REFERENCE.csv, the paired differences of all records in a folder, which have their
# per-image outcomes beside them, to the one that REFERENCE.json is of.
#
#     sh paired.sh ../results/ilsvrc-val-1000/records ../results/ilsvrc-val-1000 ILSVRC-center
set -eu
records=$1 out=$2
shift 2
for reference in "$@"; do
    wsol stats "$records" --against "$records/$reference.json" --metric max_box_acc_v2 --format csv \
        > "$out/against-$reference.csv"
done
