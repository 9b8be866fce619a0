"""The function bundle: what Lambda runs, built from the installed package, without Docker.

Lambda gets the parts of Shoal that its functions import, and their one compiled dependency for
Lambda's platform. boto3 is there already: it comes with Lambda's runtime.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.metadata
import importlib.util
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

from shoal.core.errors import ShoalError

Platform = Literal["lambda", "local"]
Architecture = Literal["arm64", "x86_64"]

PYTHON = "3.13"
"""The Python of the templates' `Runtime`."""

ROOTS = ("scheduler.py", "aws/functions.py", "aws/functions/**/*.py")
"""Where to begin: they, and all of Shoal that they import, is what the functions need."""

DEPENDENCIES = ("msgspec",)

# Lambda's Amazon Linux 2023 has glibc 2.34; pip takes each of these as a name of its own.
_LIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux2014")
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

# Typing stubs serve editors only; pip writes the other two differently on each machine.
_LEFT_OUT = ("*.pyi", "RECORD", "direct_url.json", "INSTALLER", "REQUESTED", "*.pyc", "__pycache__")
_PIP_TIMEOUT_S = 300
_EPOCH = (1980, 1, 1, 0, 0, 0)


class BundleFailed(ShoalError):
    """The function bundle could not be built."""

    code = "bundle_failed"


class Bundle(NamedTuple):
    """A bundle, as it goes to S3.

    Args:
        content: the zip file.
        digest: SHA-256, in hex, of the names and contents of its files, compiled ones excepted:
            the same sources have the same, on whichever machine they were packed.
    """

    content: bytes
    digest: str


def build_bundle(
    target: Path, platform: Platform = "lambda", architecture: Architecture = "arm64"
) -> None:
    """Put the files of the bundle into a folder.

    Args:
        target: the folder; what an earlier build left in it is replaced.
        platform: `lambda`, or `local` for functions that run under this very Python.
        architecture: of the functions, when they run on Lambda.

    Raises:
        BundleFailed: the folder holds something else, or a dependency can't be had.
    """
    if target.exists():
        if any(target.iterdir()) and not (target / "shoal" / "__init__.py").is_file():
            raise BundleFailed(
                f"{target} holds files that are not of a bundle", "name an empty folder"
            )
        shutil.rmtree(target)
    target.mkdir(parents=True)
    _copy_shoal(target / "shoal")
    if platform == "local":
        for name in DEPENDENCIES:
            _copy_installed(name, target)
    else:
        _download(target, _MACHINES[architecture])
    for pattern in _LEFT_OUT:
        for path in sorted(target.rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    _compile(target, sys.version_info[:2] if platform == "local" else _version(PYTHON))


def pack_bundle(folder: Path) -> Bundle:
    """Zip a folder so that the same files make the same zip, whenever and wherever."""
    digest = hashlib.sha256()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
            name = path.relative_to(folder).as_posix()
            content = path.read_bytes()
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the mode below is heeded
            entry.external_attr = (0o100755 if path.suffix == ".so" else 0o100644) << 16
            archive.writestr(entry, content)
            if path.suffix != ".pyc":
                digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return Bundle(stream.getvalue(), digest.hexdigest())


def _copy_shoal(target: Path) -> None:
    source = Path(__file__).parents[1]
    wanted = [file for root in ROOTS for file in source.glob(root)]
    copied: set[Path] = set()
    while wanted:
        file = wanted.pop()
        if file in copied:
            continue
        copied.add(file)
        wanted += imports_of(file, source)
        to = target / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


def imports_of(file: Path, source: Path) -> list[Path]:
    """The files of a package that a file of it imports, at its beginning or later on.

    Args:
        file: a module.
        source: the package's folder; it imports itself by its full name.
    """
    names: list[str] = []
    nodes: list[ast.AST] = [ast.parse(file.read_bytes(), str(file))]
    while nodes:
        node = nodes.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                nodes += node.orelse
                continue
            case ast.Import():
                names += [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names += [f"{module}.{alias.name}" for alias in node.names]
        nodes += ast.iter_child_nodes(node)
    found = [source / "__init__.py", *(folder / "__init__.py" for folder in file.parents)]
    for name in names:
        first, *rest = name.split(".")
        if first != source.name:
            continue
        for at in range(1, len(rest) + 1):  # `a.b.c` runs a and a.b, and c may be an attribute
            path = source.joinpath(*rest[:at])
            found += [path.with_suffix(".py"), path / "__init__.py"]
    return [path for path in found if path.is_relative_to(source) and path.is_file()]


def _copy_installed(name: str, target: Path) -> None:
    """Copy a dependency as it is installed here."""
    for file in importlib.metadata.distribution(name).files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue  # scripts and the like, outside of the packages
        to = target / file
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), to)


def _download(target: Path, machine: str) -> None:
    """Install the dependencies for Lambda's platform, in the versions that are installed here."""
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in DEPENDENCIES]
    common = ["--target", str(target), "--no-deps", "--python-version", PYTHON]
    if importlib.util.find_spec("pip") is not None:
        platforms = [word for libc in _LIBC for word in ("--platform", f"{libc}_{machine}")]
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
        words += ["--disable-pip-version-check", "--no-input", "--implementation", "cp"]
        words += ["--only-binary=:all:", *platforms]
    elif (uv := shutil.which("uv")) is not None:
        words = [uv, "pip", "install", "--quiet", "--only-binary", ":all:"]
        words += ["--python-platform", f"{machine}-manylinux_2_28"]
    else:
        raise BundleFailed(
            "neither pip nor uv is there to fetch the functions' dependency for Lambda's platform",
            f"run '{sys.executable} -m ensurepip', install uv, or name a bundle that was built"
            " elsewhere with --bundle",
        )
    try:
        ended = subprocess.run(
            [*words, *common, *pins],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PIP_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise BundleFailed(
            f"fetching {', '.join(pins)} took more than {_PIP_TIMEOUT_S} s",
            "check the way to the package index, or name a built bundle with --bundle",
        ) from None
    if ended.returncode != 0:
        said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        raise BundleFailed(
            f"{', '.join(pins)} for Python {PYTHON} on Linux {machine} can't be had"
            f" ({said[-1] if said else f'exit code {ended.returncode}'})",
            "check the way to the package index, or name a built bundle with --bundle",
        )


def _compile(target: Path, version: tuple[int, int]) -> None:
    """Add compiled files, when that Python is on this machine: functions load in a third of time.

    A function can't write them where it runs. They are taken unchecked, as the zip's times would
    never match; without them all works the same.
    """
    python = _find_python(version)
    if python is None:
        return
    # "-s" strips this machine's folder: tracebacks show where the file is on Lambda.
    words = [python, "-I", "-m", "compileall", "-q", "-s", str(target), "-p", "/var/task"]
    words += ["--invalidation-mode", "unchecked-hash", str(target)]
    ended = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise BundleFailed(
            f"the bundle does not compile under Python {version[0]}.{version[1]}"
            f" ({(ended.stdout or ended.stderr).strip()})",
            "install a Shoal that supports it",
        )


def _find_python(version: tuple[int, int]) -> str | None:
    if version == sys.version_info[:2]:
        return sys.executable
    found = shutil.which(f"python{version[0]}.{version[1]}")
    if found is None:
        return None
    # A version manager's shim is there also when its Python isn't.
    words = [found, "-I", "-c", "import sys; print(*sys.version_info[:2], sys.implementation.name)"]
    try:
        asked = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found if asked.stdout.split() == [*map(str, version), "cpython"] else None


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def main() -> None:
    """`python -m shoal.aws.bundle FOLDER`: what `make bundle` runs."""
    parser = argparse.ArgumentParser(description="Build the function bundle in a folder.")
    parser.add_argument("target", type=Path)
    parser.add_argument("--platform", choices=("lambda", "local"), default="lambda")
    parser.add_argument("--architecture", choices=tuple(_MACHINES), default="arm64")
    asked = parser.parse_args()
    try:
        build_bundle(asked.target, asked.platform, asked.architecture)
    except ShoalError as error:
        sys.exit(f"shoal: {error}")
    bundle = pack_bundle(asked.target)
    size = sum(path.stat().st_size for path in asked.target.rglob("*") if path.is_file())
    sys.stdout.write(
        f"{asked.target}: {size / 1e6:.2f} MB, {len(bundle.content) / 1e6:.2f} MB zipped,"
        f" sha256 {bundle.digest[:16]}\n"
    )


if __name__ == "__main__":
    main()
