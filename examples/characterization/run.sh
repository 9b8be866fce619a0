#!/bin/sh
# The executable of one job: its upload starts the job, and it runs in the job's folder.
set -eu
exec python3 simulate.py corner.json
