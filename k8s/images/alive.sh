#!/bin/sh
# True while the process of this container says that it is at work: it touches $CINEFARM_ALIVE_FILE every few seconds.
set -eu
file="${CINEFARM_ALIVE_FILE:-/scratch/alive}"
touched=$(stat -c %Y "$file")
[ $(($(date +%s) - touched)) -lt 30 ]
