#!/bin/sh
# One cell at one corner. ngspice exits with 0 even when nothing could be measured; the deck says
# CHARACTERISED only when all was, and Shoal looks for that. Each further attempt simulates longer.
set -eu
echo ".param attempt=${SHOAL_ATTEMPT:-1}" > attempt.sp
echo "set num_threads=1" > .spiceinit # a job a core
exec ngspice -b deck.sp
