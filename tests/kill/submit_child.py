"""Submits jobs one by one and in bulk, and writes a line whenever a call has returned.

python submit_child.py FOLDER
"""

from __future__ import annotations

import os
import sys

import shoal
from shoal.core.spec import JobSpec
from shoal.local import schema
from shoal.local import store as store_module

SINGLE, BULK = 5, 500


def main() -> None:
    # So that a bulk submission is of several commits, and the log is folded in meanwhile.
    store_module.CHUNK = 100
    schema.CHECKPOINT_PAGES = 12
    done = 0
    with shoal.connect(sys.argv[1]) as client:
        for _ in range(SINGLE):
            client.submit({"job_id": f"job-{done}", "commands": ["true"]})
            done += 1
            acknowledge(done)
        client.submit_many(
            JobSpec(f"job-{number}", commands=("true",)) for number in range(done, done + BULK)
        )
        done += BULK
        acknowledge(done)
        client.submit({"job_id": f"job-{done}", "commands": ["true"]})
        acknowledge(done + 1)


def acknowledge(number: int) -> None:
    """Say that jobs 0 to number - 1 are accepted."""
    os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main()
