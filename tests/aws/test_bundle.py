"""The function bundle: what is in it, that it works alone, and that it is the same each time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from shoal.aws.bundle import BundleFailed, build_bundle, imports_of, pack_bundle

MOST_BYTES = 2_000_000

IMPORT_ALL = """
import sys
from pathlib import Path
bundle, packages = sys.argv[1:]
sys.path[:0] = [bundle]
sys.path.append(packages)  # for boto3, which Lambda has
import importlib
names = [
    ".".join(file.relative_to(bundle).with_suffix("").parts).removesuffix(".__init__")
    for file in sorted((Path(bundle) / "shoal").rglob("*.py"))
]
for name in names:
    importlib.import_module(name)
for name, module in list(sys.modules.items()):
    if name.partition(".")[0] in ("shoal", "msgspec"):
        assert (module.__file__ or list(module.__path__)[0]).startswith(bundle), module
print(len(names))
"""


@pytest.fixture(scope="module")
def local_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "functions"
    build_bundle(folder, "local")
    return folder


def names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def test_the_same_sources_make_the_same_bundle(tmp_path: Path, local_bundle: Path) -> None:
    """Built again, elsewhere and at another time, the zip has the same bytes."""
    again = tmp_path / "again"
    build_bundle(again, "local")
    for file in again.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    first, second = pack_bundle(local_bundle), pack_bundle(again)
    # Compiled files may differ in what the compiler interns; they don't count for the digest.
    assert first.digest == second.digest
    assert names_in(first.content) == names_in(second.content)
    for folder in (local_bundle, again):
        assert pack_bundle(folder) == pack_bundle(folder)


def test_every_change_of_a_source_makes_another_bundle(tmp_path: Path) -> None:
    """The digest follows names and contents of files, but not the compiled ones."""
    build_bundle(tmp_path / "b", "local")
    before = pack_bundle(tmp_path / "b").digest
    for compiled in (tmp_path / "b").rglob("*.pyc"):
        compiled.unlink()
    assert pack_bundle(tmp_path / "b").digest == before
    (tmp_path / "b" / "shoal" / "ports.py").rename(tmp_path / "b" / "shoal" / "harbours.py")
    renamed = pack_bundle(tmp_path / "b").digest
    (tmp_path / "b" / "shoal" / "harbours.py").write_text("")
    assert len({before, renamed, pack_bundle(tmp_path / "b").digest}) == 3


def test_the_bundle_holds_what_functions_need_and_no_more(local_bundle: Path) -> None:
    """Core, ports, settings, scheduler and AWS are in it; what only people use is not."""
    modules = {path.relative_to(local_bundle).as_posix() for path in local_bundle.rglob("*.py")}
    needed = ("scheduler.py", "ports.py", "settings.py", "core/job.py", "core/__init__.py")
    assert {f"shoal/{name}" for name in needed} <= modules
    rooms = ("cli/", "local/", "demo/", "testing/", "web/", "aws/deploy", "aws/stacks", "client")
    assert not [name for name in modules if name.startswith(tuple(f"shoal/{of}" for of in rooms))]
    assert not list(local_bundle.rglob("*.pyi"))
    assert list(local_bundle.rglob("licenses/LICENSE")), "msgspec's licence comes along"


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    """Imports of modules, packages, attributes count, in functions too; those for types don't."""
    package = tmp_path / "house"
    for name in ("__init__", "a", "b", "c/__init__", "c/d", "types", "unused"):
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / f"{name}.py").touch()
    (package / "a.py").write_text(
        """
from typing import TYPE_CHECKING
import os.path, house.b
if TYPE_CHECKING:
    from house.types import Thing
def late():
    from house.c.d import thing
"""
    )
    found = {path.relative_to(package).as_posix() for path in imports_of(package / "a.py", package)}
    assert found == {"__init__.py", "b.py", "c/__init__.py", "c/d.py"}


def test_the_bundle_works_alone(local_bundle: Path) -> None:
    """Each of its modules can be imported with nothing else of Shoal on the machine."""
    words = [sys.executable, "-I", "-S", "-B", "-c", IMPORT_ALL, str(local_bundle)]
    words.append(sysconfig.get_path("purelib"))
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 8


def test_compiled_files_are_taken_as_they_are(tmp_path: Path, local_bundle: Path) -> None:
    """They are valid whatever the times of the files that Lambda unpacks, and name its folder."""
    compiled = list((local_bundle / "shoal").rglob("*.pyc"))  # by this very Python
    assert compiled
    for file in compiled:
        content = file.read_bytes()
        assert content[4:8] == b"\1\0\0\0", "a hash, that is not checked"
        assert str(local_bundle).encode() not in content


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", b"\xb7\0"), ("x86_64", b"\x3e\0")])
def test_lambda_gets_the_dependency_for_its_platform(
    tmp_path: Path, architecture: str, machine: bytes
) -> None:
    """The compiled dependency is of Lambda's Python and processor, and the whole is small."""
    assert architecture in ("arm64", "x86_64")
    build_bundle(tmp_path / "b", "lambda", "arm64" if architecture == "arm64" else "x86_64")
    (library,) = (tmp_path / "b").rglob("*.so")
    assert "cpython-313-" in library.name
    assert library.read_bytes()[18:20] == machine
    bundle = pack_bundle(tmp_path / "b")
    assert len(bundle.content) < MOST_BYTES
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        for entry in archive.infolist():
            executable = entry.filename.endswith(".so")
            assert entry.external_attr >> 16 == (0o100755 if executable else 0o100644)


def test_building_again_replaces_what_was_built(tmp_path: Path) -> None:
    """A file that the bundle no longer has goes; a folder of something else is left alone."""
    build_bundle(tmp_path / "b", "local")
    (tmp_path / "b" / "old.py").touch()
    build_bundle(tmp_path / "b", "local")
    assert not (tmp_path / "b" / "old.py").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    with pytest.raises(BundleFailed, match="holds files that are not of a bundle"):
        build_bundle(tmp_path / "thesis", "local")
    assert (tmp_path / "thesis" / "chapter").exists()


def test_without_an_index_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the dependency can't be fetched, its pin and pip's reason are named, and a way out."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BundleFailed, match=r"msgspec==.* aarch64 .*--bundle") as caught:
        build_bundle(tmp_path / "b")
    assert "No matching distribution" in str(caught.value)


def test_without_pip_and_uv_the_error_says_what_to_do(tmp_path: Path) -> None:
    """When nothing can fetch the dependency, the error names what could."""
    code = "import sys; sys.modules['pip'] = None; from shoal.aws import bundle; bundle.main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b")],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "neither pip nor uv" in ended.stderr
    assert "ensurepip" in ended.stderr
    assert "Traceback" not in ended.stderr
