"""Watches a folder for executables and says when each is completely there.

On Linux the kernel tells when a file opened for writing was closed, or was moved in, and whether
anybody still has it open for writing. Where it can't tell, a file counts as complete when it has
not changed for a while.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import stat
import sys

from shoal.core.intake import IntakeRules, is_executable
from shoal.local.bucket import PART, version_of
from shoal.local.layout import OWN
from shoal.ports import Found

if sys.platform == "linux":
    from inotify_simple import Event, INotify, flags

log = logging.getLogger(__name__)

UNREADABLE = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
"""What a folder or file that is gone, shut, or too deep to name answers with."""

SETTLE_S = 0.03
"""How long after its last change a file is taken: who copies a file with its times (scp -p, unzip)
sets them just after closing it, and a file of another time is another version."""

RESCAN_S = 1.0
"""How often to look at the whole folder where the kernel does not tell of changes."""


class FolderWatch:
    """A `ports.Watch` on a folder.

    Args:
        root: the folder.
        rules: say which files are executables.
        quiet_s: how long a file must not have changed when nothing else tells that it is complete.
        listen: hear of changes from the kernel, where it tells; else look from time to time.
    """

    def __init__(
        self, root: str, rules: IntakeRules, quiet_s: float, *, listen: bool = True
    ) -> None:
        self._root = root
        self._rules = rules
        self._quiet_s = quiet_s
        self._folders: dict[int, str] = {}
        self._pending: dict[str, float] = {}  # key -> when to look at it
        self._rescan_at: float | None = 0.0
        self._silent: tuple[int, int] | None = None
        self._kernel_tells = listen and sys.platform == "linux"
        if self._kernel_tells:
            self._inotify = INotify(nonblocking=True)
        # Somebody opening a file for writing while we ask about it signals us; see _is_written.
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def fileno(self) -> int:
        if self._kernel_tells:
            return int(self._inotify.fileno())
        if self._silent is None:
            self._silent = os.pipe()  # never readable, as nobody writes to it
        return self._silent[0]

    def close(self) -> None:
        """Hear nothing more."""
        if self._kernel_tells:
            self._inotify.close()
        for fd in self._silent or ():
            os.close(fd)

    def next_look(self) -> float | None:
        times = [*self._pending.values()]
        if self._rescan_at is not None:
            times.append(self._rescan_at)
        return min(times, default=None)

    def look_again(self, now: float) -> None:
        self._rescan_at = now

    def take(self, now: float) -> list[Found]:
        if self._kernel_tells:
            for event in self._inotify.read(timeout=0):
                self._hear(event, now)
        if self._rescan_at is not None and now >= self._rescan_at:
            self._rescan_at = None if self._kernel_tells else now + RESCAN_S
            self._scan("", now)
        found = []
        for key in [key for key, due in self._pending.items() if due <= now]:
            if (complete := self._look(key, now)) is not None:
                found.append(complete)
        return found

    def _hear(self, event: Event, now: float) -> None:
        if event.mask & flags.Q_OVERFLOW:
            log.warning("too many changes at once: looking at the whole folder again")
            self._rescan_at = now
            return
        if event.mask & flags.IGNORED:
            self._folders.pop(event.wd, None)
            return
        prefix = self._folders.get(event.wd)
        if prefix is None or not event.name:
            return
        key = prefix + event.name
        if event.mask & flags.ISDIR:
            if event.name != OWN:
                self._scan(f"{key}/", now)
        elif self._is_candidate(key):
            # A file that was only created is closed later, unless it is a link to another.
            due = now + self._quiet_s if event.mask & flags.CREATE else now
            self._pending[key] = due

    def _scan(self, prefix: str, now: float) -> None:
        """Look at a folder and all below it, watching each before listing what is in it."""
        pending = [prefix]
        while pending:
            prefix = pending.pop()
            path = os.path.join(self._root, prefix)
            try:
                self._listen(path, prefix, now)
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.name != OWN:
                                pending.append(f"{prefix}{entry.name}/")
                        elif self._is_candidate(prefix + entry.name):
                            self._pending.setdefault(prefix + entry.name, now)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                log.info("skipped %r: %s", path, error)

    def _listen(self, path: str, prefix: str, now: float) -> None:
        if not self._kernel_tells:
            return
        mask = flags.CREATE | flags.CLOSE_WRITE | flags.MOVED_TO | flags.ONLYDIR | flags.DONT_FOLLOW
        try:
            self._folders[self._inotify.add_watch(path, mask)] = prefix
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.ENOMEM):
                raise
            if self._rescan_at is None:
                log.warning(
                    "too many folders to watch (%s): looking at all of them every %g s instead;"
                    " raise fs.inotify.max_user_watches",
                    error,
                    RESCAN_S,
                )
            self._rescan_at = now + RESCAN_S

    def _is_candidate(self, key: str) -> bool:
        return is_executable(key, self._rules) and not key.endswith(PART)

    def _look(self, key: str, now: float) -> Found | None:
        """The executable if it is complete; else look again later, or never if it is gone."""
        path = os.path.join(self._root, key)
        try:
            status = os.lstat(path)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            del self._pending[key]
            return None
        changed_at = status.st_ctime  # the other times are the uploader's to set
        quiet_at = changed_at + self._quiet_s
        if not stat.S_ISREG(status.st_mode):
            complete = True  # a link or a pipe: intake refuses it
        elif status.st_size == 0:
            complete = quiet_at <= now  # just made, perhaps by a writer about to write
        else:
            written = _is_written(path)
            complete = not written if written is not None else quiet_at <= now
        if not complete:
            self._pending[key] = max(quiet_at, now + self._quiet_s / 2)
            return None
        if abs(now - changed_at) < SETTLE_S:
            self._pending[key] = changed_at + SETTLE_S
            return None
        del self._pending[key]
        return Found(key, version_of(status))


def _is_written(path: str) -> bool | None:
    """Whether any process has the file open for writing; None when that can't be known."""
    if sys.platform != "linux":
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # The kernel grants a read lease just when nobody has the file open for writing.
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None  # not our file, or a file system without leases
    finally:
        os.close(fd)
    return False
