#!/bin/sh
# Tables and pages of what lies in results/, made again from the records: a table and a page, `report`,
# an experiment, and a leaderboard of all whose rows lead to the records. No photograph is in them.
set -eu
cd "$(dirname "$0")/../results"
for records in */records; do
    experiment=${records%/records}
    case $experiment in
    *conventions) groups=dataset,convention,images ;;
    *) groups=dataset ;;
    esac
    for suffix in md csv; do
        wsol table "$records" --group-by $groups --out "$experiment/table.$suffix"
    done
    case $experiment in
    center-baseline | conventions) # two data sets, a page each
        for data in ILSVRC CUB; do
            wsol report "$records/$data"-*.json --out "$experiment/report-$data" --examples 0
        done
        ;;
    *) wsol report "$records" --out "$experiment/report" --examples 0 ;;
    esac
done
wsol leaderboard */records --out leaderboard --no-run-pages
