"""What a disk would hold after a power cut, rebuilt from a trace of system calls.

Of a file, that survives which was synced; of a folder, the names that were there when it was
synced. Memory shared through `-shm` files is no part of it: SQLite makes it anew.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

CALLS = (
    "openat,write,pwrite64,ftruncate,sendfile,copy_file_range,fsync,fdatasync,sync,"
    "?unlink,unlinkat,?rename,?renameat,renameat2,?mkdir,mkdirat,?rmdir"
)
OPTIONS = (
    *("-f", "-y", "--seccomp-bpf", "-xx", "-s", str(1 << 24)),
    *("-e", f"trace={CALLS}", "-e", "signal=none"),
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. \w+ resumed>)?(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?", re.DOTALL)
_ARGUMENT = re.compile(r'(?:AT_FDCWD|\d+)<([^>]*)>(?:\(deleted\))?|"([^"]*)"|([^,\s][^,]*)')
UNFINISHED = " <unfinished ...>"


class Call(NamedTuple):
    """A system call that succeeded: its name, its arguments as bytes, and its result.

    Descriptors are given as the paths that they stand for.
    """

    name: str
    arguments: tuple[bytes, ...]
    result: int
    path: bytes

    def joined(self, place: int) -> str:
        """The path that a folder and a name at `place` and after it make."""
        return os.fsdecode(os.path.join(*self.arguments[place : place + 2]))


@cache
def why_no_trace() -> str | None:
    """Why calls can't be traced here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", *OPTIONS, "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else f"strace can't trace here: {tried.stderr.decode()}"


def trace(command: Sequence[str], output: Path, variables: Mapping[str, str]) -> list[Call]:
    """Run a command to its good end, and return what it and its children have called."""
    subprocess.run(
        ["strace", *OPTIONS, "-o", str(output), "--", *command],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    return list(_read(output))


def _read(trace_file: Path) -> Iterator[Call]:
    begun: dict[str, str] = {}
    with trace_file.open() as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            assert found, line[:200]
            process, text = found.groups()
            if text.endswith(UNFINISHED):
                begun[process] = text.removesuffix(UNFINISHED)
                continue
            call = _CALL.match(begun.pop(process, "") + text)
            if call is None or int(call[3]) < 0:
                continue  # it failed, or it is a line about the process itself
            arguments = tuple(
                _text(path or string or other) for path, string, other in _ARGUMENT.findall(call[2])
            )
            yield Call(call[1], arguments, int(call[3]), _text(call[4] or ""))


def _text(text: str) -> bytes:
    assert not text.endswith("..."), "the trace was cut short"
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def renamed(call: Call) -> tuple[str, str]:
    """The old and the new path that a call of the rename family names."""
    if call.name == "rename":
        return os.fsdecode(call.arguments[0]), os.fsdecode(call.arguments[1])
    return call.joined(0), call.joined(2)


class Change(NamedTuple):
    """Bytes written at an offset; None cuts the file off there."""

    offset: int
    data: bytes | None


class File:
    """A file: what of it is on disk, and what is not yet."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = content
        self.pending: list[Change] = []

    def content(self, survives: Callable[[], bool]) -> bytes:
        """What is in it when, of all changes since the last sync, some survive."""
        content = bytearray(self.synced)
        for offset, data in [change for change in self.pending if survives()]:
            if len(content) < offset:
                content += bytes(offset - len(content))
            if data is None:
                del content[offset:]
            else:
                content[offset : offset + len(data)] = data
        return bytes(content)

    def sync(self) -> None:
        self.synced = self.content(lambda: True)
        self.pending = []


class Disk:
    """The files below a folder, as a process that makes calls sees them, and as the disk has them.

    Args:
        root: the folder; what is in it now is on disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.names: dict[str, File | None] = {}  # None: a folder
        for path in root.rglob("*"):
            if path.is_dir() or path.is_file():
                self.names[str(path)] = File(path.read_bytes()) if path.is_file() else None
        self.synced_names = dict(self.names)

    def follow(self, call: Call) -> None:
        """Take note of what a call has changed."""
        name, arguments = call.name, call.arguments
        match name:
            case "openat":
                self._open(os.fsdecode(call.path), arguments[2])
            case "pwrite64":
                self._change(arguments[0], Change(int(arguments[3]), arguments[1]))
            case "write":
                self._append(arguments[0], arguments[1])
            case "sendfile" | "copy_file_range":
                source = arguments[1] if name == "sendfile" else arguments[0]
                target = arguments[0] if name == "sendfile" else arguments[2]
                if call.result:
                    self._append(target, Path(os.fsdecode(source)).read_bytes())
            case "ftruncate":
                self._change(arguments[0], Change(int(arguments[1]), None))
            case "fsync" | "fdatasync":
                self._sync(os.fsdecode(arguments[0]))
            case "sync":
                for path in {self._root, *self.names}:
                    self._sync(path)
            case "unlink" | "rmdir":
                self.names.pop(os.fsdecode(arguments[0]), None)
            case "unlinkat":
                self.names.pop(call.joined(0), None)
            case "mkdir":
                self._name(os.fsdecode(arguments[0]), None)
            case "mkdirat":
                self._name(call.joined(0), None)
            case "rename" | "renameat" | "renameat2":
                old, new = renamed(call)
                if old in self.names:
                    self._name(new, self.names.pop(old))
            case _:
                raise AssertionError(f"call not foreseen: {name}")

    def is_synced(self, path: str) -> bool:
        """Whether a file's content is on disk, under whatever name."""
        file = self.names[path]
        return file is not None and not file.pending

    def write_synced(self, target: Path) -> None:
        """Write what a power cut leaves when nothing survives but what was synced."""
        self._write(target, lambda: False)

    def write_some(self, target: Path, chance: random.Random) -> None:
        """Write what a power cut leaves when some of what was not synced survives."""
        self._write(target, lambda: chance.random() < 0.5)

    def write_all(self, target: Path) -> None:
        """Write what is left when just the process is killed."""
        self._write(target, lambda: True)

    def _write(self, target: Path, survives: Callable[[], bool]) -> None:
        target.mkdir(parents=True)
        for path in sorted({*self.names, *self.synced_names}):
            names = self.names if survives() else self.synced_names
            copy = target / os.path.relpath(path, self._root)
            if path not in names or path.endswith("-shm") or not copy.parent.is_dir():
                continue
            file = names[path]
            if file is None:
                copy.mkdir()
            else:
                copy.write_bytes(file.content(survives))

    def _open(self, path: str, flags: bytes) -> None:
        if b"O_CREAT" in flags and path not in self.names:
            self._name(path, File())
        file = self.names.get(path)
        if b"O_TRUNC" in flags and file is not None:
            file.pending.append(Change(0, None))

    def _name(self, path: str, file: File | None) -> None:
        if path.startswith(f"{self._root}/"):
            self.names[path] = file

    def _change(self, path: bytes, change: Change) -> None:
        file = self.names.get(os.fsdecode(path))
        if file is not None:
            file.pending.append(change)

    def _append(self, path: bytes, data: bytes) -> None:
        file = self.names.get(os.fsdecode(path))
        if file is not None:
            file.pending.append(Change(len(file.content(lambda: True)), data))

    def _sync(self, path: str) -> None:
        file = self.names.get(path)
        if file is not None:
            file.sync()
            return
        for name in {*self.names, *self.synced_names}:
            if os.path.dirname(name) != path:
                continue
            if name in self.names:
                self.synced_names[name] = self.names[name]
            else:
                del self.synced_names[name]
