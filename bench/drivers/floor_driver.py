"""One worker of the floor: spawns `sh -c COMMAND` again and again, nothing else.

Started as `floor_driver.py COMMAND JOBS`. Says `ready`, waits for a line on its input, runs,
then prints how many jobs ended with exit code 0.
"""

import os
import sys


def spawn_loop(command: str, jobs: int) -> int:
    """Run `command` by sh `jobs` times, one after the other; return how many succeeded."""
    arguments = ["sh", "-c", command]
    environment = dict(os.environ)
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    succeeded = 0
    for _ in range(jobs):
        pid = os.posix_spawn("/bin/sh", arguments, environment, file_actions=silent)
        succeeded += os.waitpid(pid, 0)[1] == 0
    return succeeded


def main() -> None:
    """Wait for the starting shot, so that the start of Python is not part of the time."""
    print("ready", flush=True)
    sys.stdin.readline()
    print(spawn_loop(sys.argv[1], int(sys.argv[2])), flush=True)


if __name__ == "__main__":
    main()
