#!/bin/sh
# Pages of what lies in results/, one an experiment in its folder `report`, and with `pages.sh SITE` a
# leaderboard of all in the folder SITE (13 MB, which is not kept). No photograph is in them.
set -eu
cd "$(dirname "$0")/../results"
for records in */records; do
    experiment=${records%/records}
    case $experiment in
    center-baseline | conventions) # two data sets, a page each
        for data in ILSVRC CUB; do
            wsol report "$records/$data"-*.json --out "$experiment/report-$data" --examples 0
        done
        ;;
    *) wsol report "$records" --out "$experiment/report" --examples 0 ;;
    esac
done
if [ $# -gt 0 ]; then
    wsol leaderboard */records --out "$1" --examples 0
fi
