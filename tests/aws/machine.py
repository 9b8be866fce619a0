"""A Linux machine for the scripts of attempts: a root folder, and a program in place of `aws`.

The program stands for the AWS CLI, which we do not own. It does what `aws s3 cp --recursive` does
between a folder and a bucket, which is a folder too, and notes how it was called.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from shoal.aws.scripts import Place, render
from shoal.core.spec import JobSpec, validate

AWS = """#!{python} -IS
import json, os, shutil, stat, sys

class Refused(Exception): pass

home = {home!r}
words = sys.argv[1:]
with open(home + "/calls", "a") as calls:
    calls.write(json.dumps(words) + chr(10))
if os.path.exists(home + "/broken"):
    sys.exit("fatal error: the bucket is on fire")
assert words[:3] == ["s3", "cp", "--recursive"], words
source, target = words[-2:]
metadata = words[words.index("--metadata") + 1] if "--metadata" in words else ""
code = 0

def bucket_path(url):
    assert url.startswith("s3://") and url.endswith("/"), url
    return home + "/s3/" + url[5:]

if source.startswith("s3://"):
    source = bucket_path(source)
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            there = os.path.join(target, os.path.relpath(path, source))
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copyfile(path, there)
            os.utime(there, (1_700_000_000, 1_700_000_000))
            if "--only-show-errors" not in words:
                print("download:", path)
else:
    for folder, _, names in os.walk(source, followlinks=True):
        for name in names:
            path = os.path.join(folder, name)
            if not stat.S_ISREG(os.stat(path).st_mode):
                code = 2
                continue
            relative = os.path.relpath(path, source)
            there = os.path.join(bucket_path(target), relative)
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copyfile(path, there)
            with open(home + "/uploads", "a") as uploads:
                uploads.write(json.dumps([relative, metadata]) + chr(10))
            if "--only-show-errors" not in sys.argv:
                print("upload:", ascii(relative), "to", ascii(target + relative))
sys.exit(code)
"""


class Ran(NamedTuple):
    """How a script ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_word(self) -> str:
        """The last line on stderr."""
        return self.stderr.rstrip("\n").rpartition("\n")[2]


class Machine:
    """A worker on which the scripts of attempts run, one after the other."""

    def __init__(self, root: Path, shell: str = "/bin/sh") -> None:
        self.root = root
        self.shell = shell
        self.shoal = root / "shoal"
        self.working_directory = root / "home" / "job"
        self.bucket = root / "s3" / "drop"
        self.bucket.mkdir(parents=True)
        programs = root / "bin"
        programs.mkdir()
        (programs / "aws").write_text(AWS.format(python=sys.executable, home=str(root)))
        (programs / "aws").chmod(0o755)
        self.variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SHOAL_ROOT": str(self.shoal),
            "AWS_SSM_INSTANCE_ID": "i-0123",
        }

    def place(self, token: str = "1.1", timeout_s: float = 60.0) -> Place:
        """Where attempts run."""
        return Place(token, "drop", str(self.working_directory), timeout_s, "aws:stack")

    def put(self, key: str, content: str | bytes = "x") -> None:
        """Put an object into the bucket."""
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, key: str) -> str:
        """An object of the bucket."""
        return (self.bucket / key).read_text()

    def start(self, spec: JobSpec, place: Place | None = None) -> subprocess.Popen[bytes]:
        """Start an attempt as SSM's agent does: a script file, a process group, pipes."""
        document, parameters = render(validate(spec), place or self.place())
        assert document == "AWS-RunShellScript"
        script = self.root / f"script{time.monotonic_ns()}.sh"
        script.write_text("\n".join(parameters["commands"]) + "\n", encoding="utf-8")
        return subprocess.Popen(
            [self.shell, str(script)],
            cwd="/",
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def run(self, spec: JobSpec, place: Place | None = None) -> Ran:
        """Run an attempt to its end."""
        process = self.start(spec, place)
        stdout, stderr = process.communicate(timeout=60)
        return Ran(process.returncode, stdout.decode(), stderr.decode())

    def sh(self, *commands: str, **more: object) -> Ran:
        """Run commands as a direct job."""
        return self.run(job(commands=commands, **more))

    def folder(self, text: str, **more: object) -> Ran:
        """Run `run.sh` of the job folder `jobs/1` with this text."""
        self.put("jobs/1/run.sh", text)
        return self.run(job(folder="jobs/1", executable="run.sh", **more))

    def uploads(self) -> dict[str, str]:
        """What was uploaded, by relative path, with its metadata."""
        path = self.root / "uploads"
        if not path.exists():
            return {}
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(lines) == len({name for name, _ in lines}), "a file was uploaded twice"
        return dict(lines)

    def mark(self, job_id: str, token: str = "1.1") -> str:
        """The metadata of what an attempt uploads."""
        return f"shoal={self.place(token).folder_name(job_id)}"

    def calls(self) -> list[list[str]]:
        """How `aws` was called."""
        path = self.root / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def leftovers(self) -> list[str]:
        """What attempts have left on the machine: in their folder, and in the other one."""
        places = (self.shoal / "attempts", self.working_directory)
        return sorted(path.name for place in places if place.exists() for path in place.iterdir())


def job(**fields: object) -> JobSpec:
    """A job spec with an id."""
    return msgspec.convert({"job_id": "jobs/1", **fields}, JobSpec)
