"""The bucket as a folder: keys are paths below it. Staging is copying in and moving back out.

Nothing outside the folder is read or written: links that leave it are refused, not followed.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from shoal.core.errors import BucketError
from shoal.local.layout import OWN, Layout, sync_folder
from shoal.ports import Beat, no_beat

if TYPE_CHECKING:
    from shoal.client_ports import Content

PIECE_BYTES = 16 << 20

PART = ".shoal-part"
"""Ends the names of files that Shoal itself is still writing into a job folder."""

SYNC_ALL_FROM = 64
"""From this many results on, one sync of the whole system is cheaper than one a file."""


class FileState(NamedTuple):
    """What tells whether a file was touched."""

    mtime_ns: int
    size_bytes: int
    inode: int
    ctime_ns: int


class Staged(NamedTuple):
    """A file as it was staged in, and as it lay in the job folder then."""

    copy: FileState
    original: FileState


Manifest = dict[str, Staged]
"""The files of a work folder by relative path."""


class LocalBucket:
    """A folder with job folders in it.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)

    def path(self, key: str) -> Path:
        """Where the object of a key lies.

        Raises:
            BucketError: a link on the way leads elsewhere.
        """
        path = os.path.join(self._real_root, key)
        if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path):
            raise BucketError(f"{key!a} leads through a link", "use plain folders")
        return Path(path)

    def folder_path(self, folder: str) -> Path:
        """Where a job folder lies.

        Raises:
            BucketError: it is missing, or not a folder of this bucket.
        """
        path = self.path(folder)
        if not path.is_dir() or path.is_symlink():
            raise BucketError(f"there is no folder {folder!a} in the bucket", "put it there")
        return path

    def stage_in(self, folder: str, work: Path, beat: Beat = no_beat) -> Manifest:
        """Copy a job folder into a work folder.

        Args:
            folder: its key.
            work: an empty folder.
            beat: called before each file, and now and then during a long one.

        Returns:
            The files as they lie in the work folder now.

        Raises:
            BucketError: the folder is missing, or a link in it leaves it.
        """
        source_root = str(self.folder_path(folder))
        target_root = str(work)
        manifest: Manifest = {}
        for relative, entry in _walk(source_root):
            target = f"{target_root}/{relative}"
            beat()
            if entry.is_symlink():
                _copy_link(source_root, relative, target)
            elif entry.is_dir():
                os.mkdir(target)
            elif entry.is_file():
                original = file_state(entry.stat())
                _copy(entry.path, target, original.size_bytes, beat)
                manifest[relative] = Staged(file_state(os.stat(target)), original)
            # Sockets, pipes and devices hold nothing that could be copied.
        return manifest

    def find_results(
        self, folder: str, work: Path, manifest: Manifest, beat: Beat = no_beat
    ) -> list[str]:
        """The relative paths of files in the work folder that are new or changed.

        Raises:
            BucketError: a link leaves the work folder.
        """
        source_root = str(self.folder_path(folder))
        results = []
        status = os.lstat(work)
        if not stat.S_ISDIR(status.st_mode):
            raise BucketError(
                "the job has put something else in place of its work folder", "mend it"
            )
        _open_up(str(work), status)
        for relative, entry in _walk(str(work)):
            beat()
            if entry.is_dir(follow_symlinks=False):
                _open_up(entry.path, entry.stat())
            elif entry.is_symlink():
                if _link_was_staged_in(source_root, relative, entry.path):
                    continue
                _refuse_leaving_link(str(work), relative, entry.path, "result")
                if os.path.isfile(entry.path):
                    results.append(relative)
            elif entry.is_file(follow_symlinks=False) and self._is_changed(
                source_root, relative, entry, manifest
            ):
                results.append(relative)
        return results

    def _is_changed(
        self, source_root: str, relative: str, entry: os.DirEntry[str], manifest: Manifest
    ) -> bool:
        before = manifest.get(relative)
        now = file_state(entry.stat())
        if before is None or now[:3] != before.copy[:3]:
            return True
        if now == before.copy:
            return False
        # Only the inode changed (its time can't be set back): perhaps its content too, which the
        # original tells, unless that was changed or removed since: then the user's change stands.
        original = f"{source_root}/{relative}"
        try:
            if file_state(os.lstat(original)) != before.original:
                return False
        except FileNotFoundError:
            return False
        filecmp.clear_cache()  # it goes by size and time
        return not filecmp.cmp(original, entry.path, shallow=False)

    def stage_out(self, folder: str, work: Path, results: list[str], beat: Beat = no_beat) -> None:
        """Move results to the job folder, each complete and on disk when it appears there.

        A beat before each keeps a worker that was stopped for long from writing over the results
        of the one that took its job.
        """
        target_root = str(self.folder_path(folder))
        if len(results) >= SYNC_ALL_FROM:
            os.sync()
        folders = {target_root}
        # Links first, while what they lead to is still there to be copied.
        for relative in sorted(results, key=lambda relative: not os.path.islink(work / relative)):
            source, target = f"{work}/{relative}", f"{target_root}/{relative}"
            parent = os.path.dirname(target)
            if parent not in folders:
                _make_parents(target_root, relative)
                folders.add(parent)
            if os.path.islink(source):
                source = _copy_beside(os.path.realpath(source), target)
            if len(results) < SYNC_ALL_FROM:
                _sync_file(source)
            beat()
            try:
                os.replace(source, target)
            except OSError as error:
                if isinstance(error, IsADirectoryError):
                    raise BucketError(
                        f"result {relative!a} has the name of a folder in the job folder",
                        "rename one of them",
                    ) from None
                if error.errno != 18:  # EXDEV: the job folder is on another file system
                    raise
                part = _copy_beside(source, target)
                _sync_file(part)
                os.replace(part, target)
        for path in folders:
            sync_folder(Path(path))

    def put_folder(
        self, source: Path, folder: str, last: list[str], before_last: Callable[[], object]
    ) -> None:
        """Copy a folder from outside into the bucket, certain files last, all of it on disk.

        Args:
            source: where it lies.
            folder: its key.
            last: names of files in it.
            before_last: called before the first of those can be seen.

        Raises:
            BucketError: the bucket has such a folder already, or a link leaves the folder.
        """
        target = self.path(folder)
        if os.path.lexists(target):
            raise BucketError(
                f"the bucket has a folder {folder!a} already",
                "rename yours, or submit the one in the bucket",
            )
        target.mkdir(parents=True)
        try:
            for relative, entry in _walk(str(source)):
                if entry.is_symlink():
                    _copy_link(str(source), relative, f"{target}/{relative}")
                elif entry.is_dir():
                    (target / relative).mkdir()
                elif entry.is_file() and relative not in last:
                    shutil.copy2(entry.path, target / relative)
            os.sync()
            before_last()
            for relative in last:
                part = _copy_beside(str(source / relative), str(target / relative))
                _sync_file(part)
                os.replace(part, target / relative)
            sync_folder(target)
        except BaseException:
            remove_tree(target)
            raise

    def files(self, folder: str) -> list[str]:
        """The relative paths of a job folder's files, and of links that lead to no folder in it.

        Raises:
            BucketError: there is no such folder.
        """
        root = str(self.folder_path(folder))
        return sorted(
            relative
            for relative, entry in _walk(root)
            if entry.is_file(follow_symlinks=False)
            or (entry.is_symlink() and not (_is_inside(root, entry.path) and entry.is_dir()))
        )

    def content(self, folder: str, relative: str) -> Path:
        """Where the content of a job folder's file lies.

        Raises:
            BucketError: it is gone, or a link that leaves the folder.
        """
        root = str(self.folder_path(folder))
        path = f"{root}/{relative}"
        _refuse_leaving_link(root, relative, path, "file")
        if not os.path.isfile(path):
            raise BucketError(f"file {relative!a} is gone, or leads to no file", "put it there")
        return Path(os.path.realpath(path))

    def put_files(
        self,
        folder: str,
        files: Sequence[Content],
        mark: str,
        before_each: Callable[[str, Path], object],
    ) -> None:
        """Copy files into a job folder, over what has their names, in order and onto the disk.

        Args:
            folder: its key; it is made when it is missing.
            files: their paths in it and where their content lies; the last one appears when all
                others are on disk.
            mark: a name for the one that is being copied; the same when it is done again.
            before_each: called with a relative path, and with the copy that is to appear there.

        Raises:
            BucketError: one can't have that name here.
        """
        root = str(self.path(folder))
        if os.path.lexists(root) and (os.path.islink(root) or not os.path.isdir(root)):
            raise BucketError(f"{folder!a} is no folder in the bucket", "rename one of them")
        try:
            os.makedirs(root, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise BucketError(f"{folder!a} leads through a file", "rename one of them") from None
        sync_each = len(files) < SYNC_ALL_FROM
        changed = {os.path.dirname(f"{root}/{relative}") for relative, _ in files}
        for number, (relative, source) in enumerate(files, 1):
            is_last = number == len(files)
            _make_parents(root, relative)
            target = f"{root}/{relative}"
            part = f"{os.path.dirname(target)}/.{mark}{PART}"
            Path(part).unlink(missing_ok=True)
            try:
                shutil.copy2(source, part)
                if sync_each or is_last:
                    _sync_file(part)
                before_each(relative, Path(part))
                if is_last and not sync_each:
                    os.sync()
                os.replace(part, target)
            except IsADirectoryError:
                raise BucketError(
                    f"there is a folder {relative!a} in {folder!a}", "rename one of them"
                ) from None
            finally:
                Path(part).unlink(missing_ok=True)
        for path in sorted(changed):
            while path != self._real_root:  # folders that were made on the way are entries, too
                sync_folder(Path(path))
                path = os.path.dirname(path)
        sync_folder(Path(self._real_root))

    def version(self, path: Path) -> str:
        """Names the version of a file, as it will be in the bucket.

        Raises:
            BucketError: there is no such file.
        """
        try:
            return version_of(os.lstat(path))
        except FileNotFoundError:
            raise BucketError(f"there is no file {str(path)!a}", "put it there") from None

    def fetch(self, key: str, destination: Path) -> None:
        """Copy one object to a path.

        Raises:
            FileNotFoundError: it is not there any more.
            BucketError: a link is in its place.
        """
        source = self.path(key)
        if source.is_symlink():
            raise BucketError(f"{key!a} is a link now, no result", "look at what it leads to")
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, destination)

    def open(self, key: str) -> BinaryIO:
        """Open one object for reading.

        Raises:
            FileNotFoundError: it is not there any more.
            BucketError: something else is in its place, or a link on the way leads elsewhere.
        """
        try:
            fd = os.open(self.path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (NotADirectoryError, IsADirectoryError):
            raise FileNotFoundError(key) from None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            raise BucketError(f"{key!a} is no plain file now", "look at what it is") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise BucketError(f"{key!a} is no plain file now", "look at what it is")
        return open(fd, "rb")


def file_state(status: os.stat_result) -> FileState:
    """What to compare a file by."""
    return FileState(status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns)


def version_of(status: os.stat_result) -> str:
    """Names a version of a file; moving the file keeps it."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, whatever modes its owner gave to what is in it."""
    try:
        os.rmdir(path)
        return
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)  # an attempt has put something in its place
        return
    except OSError:
        pass  # not empty
    try:
        shutil.rmtree(path)
    except PermissionError:
        os.chmod(path, stat.S_IRWXU)
        for folder, names, _ in os.walk(path):
            for name in names:
                if not os.path.islink(below := os.path.join(folder, name)):
                    os.chmod(below, stat.S_IRWXU)
        shutil.rmtree(path)


def remove_work(layout: Layout, worker: str) -> None:
    """Remove what a worker has in the way of a work folder and of scripts."""
    remove_tree(layout.work / worker)
    for script in layout.work.glob(f"{worker}.script.*"):
        script.unlink(missing_ok=True)


def _walk(root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All entries below a folder with their relative paths; folders come before their content."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                if entry.name.endswith(PART) or (not prefix and entry.name == OWN):
                    continue
                relative = prefix + entry.name
                yield relative, entry
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{relative}/")


def _open_up(folder: str, status: os.stat_result) -> None:
    """Let us into a folder that an attempt may have shut."""
    if ~status.st_mode & stat.S_IRWXU:
        os.chmod(folder, status.st_mode | stat.S_IRWXU)


def _copy_link(source_root: str, relative: str, target: str) -> None:
    _refuse_leaving_link(source_root, relative, f"{source_root}/{relative}", "input")
    os.symlink(_link_text(source_root, relative), target)


def _link_text(root: str, relative: str) -> str:
    """What a link is to say in a copy of its folder, for it to lead to the copy of its target."""
    path = f"{root}/{relative}"
    text = os.readlink(path)
    above = os.path.dirname(relative)
    if not os.path.isabs(text) and not os.path.normpath(f"./{above}/{text}").startswith(".."):
        return text
    return os.path.relpath(os.path.realpath(path), os.path.realpath(f"{root}/{above}"))


def _is_inside(root: str, path: str) -> bool:
    """Whether what a path leads to lies in a folder."""
    real_root, real = os.path.realpath(root), os.path.realpath(path)
    return real == real_root or real.startswith(real_root + os.sep)


def _link_was_staged_in(source_root: str, relative: str, path: str) -> bool:
    original = f"{source_root}/{relative}"
    return os.path.islink(original) and _link_text(source_root, relative) == os.readlink(path)


def _refuse_leaving_link(root: str, relative: str, path: str, what: str) -> None:
    if not _is_inside(root, path):
        raise BucketError(
            f"{what} {relative!a} is a link that leaves the job folder",
            "put a copy of the file in its place",
        )


def _make_parents(root: str, relative: str) -> None:
    """Make the folders above a result, refusing to go through links."""
    path = root
    for part in relative.split("/")[:-1]:
        path = f"{path}/{part}"
        if os.path.islink(path) or (os.path.lexists(path) and not os.path.isdir(path)):
            raise BucketError(
                f"result {relative!a} can't be written: {part!a} is no folder there",
                "rename one of them",
            )
        if not os.path.isdir(path):
            os.mkdir(path)


def _copy_beside(source: str, target: str) -> str:
    """Copy a file to a name beside its target that starts nothing; returns that name."""
    folder = os.path.dirname(target)
    part = f"{folder}/.{os.getpid()}{PART}"
    try:
        shutil.copy2(source, part)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return part


def _copy(source: str, target: str, size_bytes: int, beat: Beat) -> None:
    """Copy a file with its times and mode, with a beat now and then when it is a long one."""
    if size_bytes <= PIECE_BYTES:
        shutil.copy2(source, target)
        return
    with open(source, "rb", buffering=0) as reading, open(target, "wb") as writing:
        while piece := reading.read(PIECE_BYTES):
            writing.write(piece)
            beat()
    shutil.copystat(source, target)


def _sync_file(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:  # its mode keeps even its owner out
        os.sync()
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
