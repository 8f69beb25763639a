#!/bin/sh
# A folder, shared among processes of this machine by xargs (GNU parallel takes the same words:
# seq 4 | parallel -j 4 moce restore photos/ -o restored/ --resume --threads 1 --shard {}/4).
# The same command goes on where a broken run stopped:
#
#   sh examples/parallel.sh photos/ restored/ 4
set -eu
photos=$1 out=$2 shares=${3:-2}
seq "$shares" | xargs -P "$shares" -I '{}' \
    moce restore "$photos" -o "$out" -q --resume --threads 1 --shard "{}/$shares"
