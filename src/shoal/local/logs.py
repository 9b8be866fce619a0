"""The output of attempts on this machine: a file each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shoal.core.job import Attempt, Ending, Job, Started, Token
from shoal.local.layout import Layout

PIECE_BYTES = 1 << 16


class FileLog:
    """A `client_ports.Log`.

    Args:
        path: where it was found.
        file: it, opened: a worker may move it to its final place meanwhile.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.location = str(path)
        self._file = file

    def leave_out(self, all_but_bytes: int) -> bool:
        start = max(0, os.fstat(self._file.fileno()).st_size - all_but_bytes)
        if start <= self._file.tell():
            return False
        self._file.seek(start)
        return True

    def read(self, *, over: bool) -> Iterator[bytes]:
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def close(self) -> None:
        self._file.close()


class LocalLogs:
    """A `client_ports.Logs`.

    Args:
        layout: of the environment.
    """

    look_every_s = 0.2

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def find(self, job: Job, token: Token, ended: Attempt | None) -> FileLog | None:
        places = [self._layout.log_path(job.job_id, token)]
        # A worker's live log is that of its next attempt soon, unless it went away in this one.
        if ended is None and isinstance(job.state, Started):
            places.append(self._layout.live_log_path(job.state.lease.worker))
        elif ended is not None and ended.ending is Ending.INTERRUPTED:
            places.append(self._layout.live_log_path(ended.worker))
        for path in places:
            try:
                return FileLog(path, path.open("rb"))
            except FileNotFoundError:
                continue
        return None
