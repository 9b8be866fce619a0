"""Many jobs at once: `python3 send_jobs.py DEST COUNT [--windows]` drops job folders into DEST.

Each gets a folder of its own: its input first, its executable last. DEST is a folder that
`shoal up` watches, or one to upload: `shoal submit -e aws:NAME DEST/*`.
"""

import argparse
from pathlib import Path

HERE = Path(__file__).resolve().parent


def send_job(dest: Path, number: int, windows: bool) -> None:
    """Write one job folder; the executable appears last, in one step."""
    name = f"jobId_{number}"
    source, suffix = ("windows", ".bat") if windows else ("linux", ".sh")
    folder = dest / name
    folder.mkdir(parents=True, exist_ok=True)
    content = (HERE / source / "jobId_0" / "jobId_0.input").read_text(encoding="utf-8")
    (folder / f"{name}.input").write_text(content, encoding="utf-8")
    script = (HERE / source / "jobId_0" / f"jobId_0{suffix}").read_bytes()
    unfinished = folder / "executable.part"
    unfinished.write_bytes(script.replace(b"jobId_0", name.encode()))
    unfinished.chmod(0o755)
    unfinished.replace(folder / f"{name}{suffix}")


def main() -> None:
    """Drop the jobs that the command line asks for."""
    parser = argparse.ArgumentParser(description="Drop many job folders at once.")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to drop them into")
    parser.add_argument("count", type=int, metavar="COUNT", help="how many, from jobId_0 on")
    parser.add_argument("--windows", action="store_true", help="with .bat files")
    options = parser.parse_args()
    for number in range(options.count):
        send_job(options.dest, number, options.windows)
    print(f"job folders dropped into {options.dest}: {options.count}")


if __name__ == "__main__":
    main()
