#!/bin/sh
# One station: its upload starts the job.
set -eu
exec python3 aggregate.py readings.csv
