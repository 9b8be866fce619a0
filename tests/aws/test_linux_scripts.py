"""The shell scripts of attempts, run for real: by dash or whatever `sh` is, and by bash."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.aws import linux

from .machine import Machine, job

HOSTILE = (
    "plain",
    "-rf",
    "--help",
    "with  two spaces ",
    "a+b%20c",
    "'single'\"double\"\\",
    "$(touch gone) `touch gone`;touch gone",
    "ünï-日本-\N{GRINNING FACE}",
    "*?[a]!#~&|<>(){}",
    "{{ commands }}{{{ssm:x}}}",
    "‘typographic’ ‚quotes‛",
)
SHELLS = sorted({"/bin/sh", shutil.which("bash") or "/bin/sh"})


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A machine with that shell as its `sh`."""
    return Machine(tmp_path, request.param)


# --- quoting --------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_quoted_text_is_one_word_that_says_it(text: str) -> None:
    """Any text comes through the shell's grammar unchanged, and no two braces stand together."""
    quoted = linux.quote(text)
    assert shlex.split(f"a {quoted} b") == ["a", text, "b"]
    assert "{{" not in quoted


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.text(
            st.sampled_from("{}'\"\\$`;&|<>()*?[]~#!-+%= \n\r\taé‘’")
            | st.characters(codec="utf-8"),
            max_size=30,
        ).filter(lambda text: "\0" not in text),
        min_size=1,
        max_size=20,
    )
)
def test_a_real_shell_reads_the_same(texts: list[str]) -> None:
    """What sh makes of quoted texts is those texts."""
    script = f"printf '%s\\0' {' '.join(linux.quote(text) for text in texts)}"
    said = subprocess.run(["/bin/sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout
    assert said.decode().split("\0")[:-1] == texts


# --- direct jobs ----------------------------------------------------------------------------


def test_commands_are_one_script_whose_exit_code_counts(machine: Machine) -> None:
    """Commands share variables and folder, and the attempt ends with the exit code of the last."""
    ran = machine.sh(
        "name=World", "mkdir sub; cd sub", 'echo "Hello $name from ${PWD##*/}"', "(exit 7)"
    )
    assert ran == (7, "Hello World from sub\n", "")
    assert machine.calls() == []


def test_commands_are_not_touched_on_the_way(machine: Machine) -> None:
    """Quotes, here-documents, empty lines, carriage returns and braces come as written."""
    text = 'it\'s "\\n" $HOME `x` {{ commands }} {{ssm:/a/b}} {{{{global:DATE}}}} ünï\r'
    ran = machine.sh("cat <<'EOF'", text, "", "  indented  ", "EOF")
    assert ran == (0, f"{text}\n\n  indented  \n", "")


def test_a_shebang_is_heeded(machine: Machine) -> None:
    """Commands that begin with a shebang run under that interpreter."""
    ran = machine.sh("#!/usr/bin/env python3", "import sys", "print('in Python'); sys.exit(5)")
    assert ran == (5, "in Python\n", "")


def test_the_job_sees_its_variables(machine: Machine) -> None:
    """An attempt has the variables a local one has, and those of its spec, whatever their names."""
    environment = {
        "DOT.TED": "a b",
        "-dash": "1",
        "x y": "2",
        "SHOAL_ENV": "mine",
        "SHOAL_RUN": "no",
    }
    environment |= {f"H{number}": text for number, text in enumerate(HOSTILE)}
    environment["TWO"] = "one\ntwo\n"
    program = "import os; print(*(f'{k}={v}' for k, v in os.environ.items()), sep=chr(0))"
    ran = machine.sh("#!/usr/bin/env python3", program, environment=environment)
    assert ran.code == 0
    seen = dict(item.split("=", 1) for item in ran.stdout.rstrip("\n").split("\0"))
    own = {"SHOAL_JOB_ID": "jobs/1", "SHOAL_RUN": "1", "SHOAL_ATTEMPT": "1"}
    expected = environment | own | {"SHOAL_WORKER_ID": "i-0123"}
    assert {name: seen.get(name) for name in expected} == expected
    assert "SHOAL_ENV=aws:stack\n" in machine.run(job(job_id="2", commands=["env"])).stdout


def test_a_signal_is_passed_on(machine: Machine) -> None:
    """An attempt that a signal ends, ends with 128 and its number."""
    assert machine.sh("kill -KILL $$").code == 137


def test_no_attempt_finds_anything_of_another(machine: Machine) -> None:
    """The work folder is empty at the start, and nothing is left after the end."""
    machine.sh("touch a .b; mkdir -p c/d; touch c/d/e; chmod 0 c")
    ran = machine.run(job(job_id="next", commands=["ls -A"]))
    assert ran == (0, "", "")
    assert machine.leftovers() == []


def test_a_command_delivered_twice_runs_once(machine: Machine) -> None:
    """The second delivery is refused while the first runs, and after it."""
    spec = job(commands=["touch started; sleep 0.6; ls"])
    first = machine.start(spec)
    _until(lambda: list(machine.shoal.rglob("started/*")))
    refused = (121, "", "shoal: this attempt has been started here before\n")
    assert machine.run(spec) == refused
    assert first.communicate(timeout=30) == (b"started\n", b"")
    assert machine.run(spec) == refused
    assert machine.run(spec, machine.place("1.2")).code == 0
    assert machine.run(spec, machine.place("2.1")).code == 0


def test_the_same_attempt_of_another_life_runs(machine: Machine) -> None:
    """A stack that is deployed anew starts counting anew; the marks of its last life don't bind."""
    machine.sh("true")
    (mark,) = (machine.shoal / "started").iterdir()
    os.utime(mark, (time.time() - 3600,) * 2)
    assert machine.sh("echo again") == (0, "again\n", "")
    assert machine.sh("echo again").code == 121


def test_what_a_job_leaves_running_ends_with_it(machine: Machine) -> None:
    """A process in the background, detached or not, neither outlives its attempt nor delays it."""
    began = time.monotonic()
    ran = machine.sh("sleep 60 & setsid sleep 60 &", "echo done")
    assert (ran.code, ran.stdout) == (0, "done\n")
    assert time.monotonic() - began < 10
    assert not _marked(machine)


def test_a_killed_attempt_is_cleared_away_by_the_next(machine: Machine) -> None:
    """After SIGKILL, as the agent sends it, the next attempt ends what is left and removes it."""
    new = machine.working_directory / "new"
    machine.put("jobs/1/run.sh", f"setsid sh -c 'echo > {new}; exec sleep 60' & sleep 60")
    killed = machine.start(job(folder="jobs/1", executable="run.sh"))
    _until(new.exists)
    os.killpg(killed.pid, 9)
    with killed:
        killed.wait(timeout=30)
    assert _marked(machine)
    assert machine.leftovers() != []
    assert machine.run(job(job_id="next", commands=["ls -A"])) == (0, "", "")
    assert machine.leftovers() == []
    assert not _marked(machine)


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_an_attempt_that_is_asked_to_end_cleans_up(
    machine: Machine, number: int, code: int
) -> None:
    """SIGTERM and SIGINT to the process group end the attempt without anything left."""
    process = machine.start(job(commands=["touch started; exec sleep 60"]))
    _until(lambda: list(machine.shoal.rglob("started")))
    _until(lambda: _marked(machine))
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert machine.leftovers() == []


def test_a_no_op_costs_little(machine: Machine) -> None:
    """A direct job starts few processes beside its own."""
    machine.sh("true")
    script = machine.root / "no-op.sh"
    script.write_text(linux.render(job(job_id="no-op", commands=["true"]), machine.place()))
    trace = machine.root / "trace"
    with trace.open("w") as stderr:
        subprocess.run(
            [machine.shell, "-x", str(script)], env=machine.variables, stderr=stderr, check=True
        )
    lines = [line.lstrip("+ ").split(" ")[0] for line in trace.read_text().splitlines()]
    programs = [word for word in lines if word in ("mkdir", "env", "grep", "rm", "sort", "find")]
    assert sorted(programs) == ["env", "grep", "mkdir", "rm"]


# --- job folders ----------------------------------------------------------------------------


def test_new_and_changed_files_are_staged_out_alone(machine: Machine) -> None:
    """Results carry the fencing token; what the job left as it was is not uploaded again."""
    for name in ("keep", "edit", "touch", "same-size", "mode", "gone", "sub/keep", "sub/edit"):
        machine.put(f"jobs/1/{name}", "12345")
    machine.put("jobs/10/neighbour")
    ran = machine.folder(
        "echo more >> edit; touch touch; printf 54321 > same-size; chmod 600 mode; rm gone\n"
        "echo x >> sub/edit; mkdir -p sub/new/deep; echo y > sub/new/deep/result; ls ..\n"
    )
    assert ran.code == 0, ran
    results = ["edit", "touch", "same-size", "sub/edit", "sub/new/deep/result"]
    assert machine.uploads() == dict.fromkeys(results, machine.mark("jobs/1"))
    assert machine.read("jobs/1/same-size") == "54321"
    assert ran.stdout.count("upload: ") == 1
    assert "download" not in ran.stdout
    assert "neighbour" not in ran.stdout
    assert machine.leftovers() == []


def test_a_change_that_hides_its_time_is_staged_out(machine: Machine) -> None:
    """An edit that keeps size and time is seen all the same; so is a rename, and a new inode."""
    for name in ("hidden", "old", "copied"):
        machine.put(f"jobs/1/{name}", "12345")
    machine.folder(
        "cp -p hidden ref; printf 54321 | dd of=hidden conv=notrunc 2>/dev/null\n"
        "touch -r ref hidden\n"
        "rm ref; mv old new; cp -p copied x; mv x copied\n"
    )
    assert sorted(machine.uploads()) == ["copied", "hidden", "new"]
    assert machine.read("jobs/1/hidden") == "54321"


def test_results_of_a_failed_job_are_staged_out_too(machine: Machine) -> None:
    """Whatever the exit code, results go up, and the exit code stays the job's own."""
    ran = machine.folder("echo why > log; exit 9")
    assert (ran.code, machine.uploads()) == (9, {"log": machine.mark("jobs/1")})
    assert ran.stderr == ""


def test_a_job_without_results_uploads_nothing(machine: Machine) -> None:
    """No result, no upload."""
    assert machine.folder("cat run.sh >/dev/null").code == 0
    assert [call[3] for call in machine.calls()] == ["--only-show-errors"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_are_data(machine: Machine, name: str) -> None:
    """No name of a folder, executable, input or result is read by the shell."""
    folder = f"in {name}/{name}"
    executable = f"{name}.sh"
    machine.put(
        f"{folder}/{executable}",
        'cat -- "$INPUT"; cp -- "$INPUT" "$INPUT.out"\n'
        'mkdir -p "./$INPUT.d"; echo 1 > "./$INPUT.d/$INPUT"',
    )
    machine.put(f"{folder}/{name}.in", "input")
    ran = machine.run(
        job(
            job_id=f"{folder}/{executable}",
            folder=folder,
            executable=executable,
            environment={"INPUT": f"{name}.in"},
            required_files=[f"{name}.in.out", f"{name}.in.d/{name}.in"],
        )
    )
    assert (ran.code, ran.stdout.split("upload")[0], ran.stderr) == (0, "input", "")
    results = [f"{name}.in.out", f"{name}.in.d/{name}.in"]
    assert machine.uploads() == dict.fromkeys(results, machine.mark(f"{folder}/{executable}"))
    assert machine.read(f"{folder}/{name}.in.out") == "input"
    assert not list(machine.root.rglob("gone"))
    assert machine.leftovers() == []


def test_names_with_newlines_are_results_like_others(machine: Machine) -> None:
    """A job may name its results as it likes."""
    assert machine.folder("echo 1 > 'a\nb'; echo 2 > ' lead'; echo 3 > ./-x").code == 0
    assert sorted(machine.uploads()) == [" lead", "-x", "a\nb"]


def test_the_executable_runs_in_the_work_folder(machine: Machine) -> None:
    """Whatever its mode; with a shebang, without one, or as a binary."""
    ran = machine.folder("#!/bin/bash\n[[ $0 == $PWD/run.sh ]] && echo here; ls")
    assert ran == (0, "here\nrun.sh\n", "")
    machine.put("jobs/2/no-shebang", "echo plain\n")
    assert (
        machine.run(job(job_id="2", folder="jobs/2", executable="no-shebang")).stdout == "plain\n"
    )
    machine.put("jobs/3/program", Path("/bin/echo").read_bytes())
    assert machine.run(job(job_id="3", folder="jobs/3", executable="program")).stdout == "\n"


def test_commands_may_run_in_a_job_folder(machine: Machine) -> None:
    """A folder without an executable is staged for commands as well."""
    machine.put("jobs/1/data", "5")
    ran = machine.sh("echo $(( $(cat data) * 2 )) > result", folder="jobs/1")
    assert (ran.code, machine.read("jobs/1/result")) == (0, "10\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/no/such/thing -x\n", "its interpreter /no/such/thing is not on this machine"),
        (
            "#!/bin/sh\r\necho\r\n",
            "its interpreter /bin/sh\\r is not on this machine (save it with Unix line ends)",
        ),
    ],
)
def test_a_missing_interpreter_is_named(machine: Machine, text: str, why: str) -> None:
    """What the system says of a missing interpreter misleads; the last word is the cause."""
    ran = machine.folder(text)
    assert (ran.code, ran.last_word) == (121, f"shoal: {why}")


def test_a_missing_command_is_the_jobs_own_failure(machine: Machine) -> None:
    """Exit code 127 of the job's own script stays what it is."""
    ran = machine.folder("#!/bin/sh\nno-such-command\n")
    assert ran.code == 127
    assert not ran.last_word.startswith("shoal:")


def test_staging_trouble_is_told(machine: Machine) -> None:
    """When the folder can't be staged in, or lacks the executable, the job does not run."""
    (machine.root / "broken").touch()
    ran = machine.folder("echo ran")
    assert (ran.code, ran.stdout) == (121, "")
    assert (
        ran.last_word
        == "shoal: the job folder s3://drop/jobs/1/ can't be staged in (aws ended with 1)"
    )
    (machine.root / "broken").unlink()
    ran = machine.run(job(job_id="2", folder="jobs/empty", executable="it's gone"))
    assert (ran.code, ran.last_word) == (
        121,
        "shoal: the executable it's gone is not there any more",
    )
    assert machine.leftovers() == []


def test_results_that_can_not_be_staged_out_fail_the_attempt(machine: Machine) -> None:
    """Also when the job itself ended well."""
    ran = machine.folder(f"echo 1 > result; touch {machine.root}/broken")
    assert ran.code == 121
    assert ran.last_word == "shoal: the results can't be staged out (aws ended with 1)"


def test_required_files_are_checked(machine: Machine) -> None:
    """A missing one fails a run that ended well, results and all; a failed run stays as it is."""
    required = ["result", "sub/other", "a b"]
    ran = machine.folder("echo 1 > result", required_files=required)
    assert (ran.code, ran.last_word) == (122, "shoal: required file missing: sub/other, a b")
    assert list(machine.uploads()) == ["result"]
    ran = machine.run(job(job_id="2", commands=["exit 3"], required_files=required))
    assert (ran.code, ran.stderr) == (3, "")
    ran = machine.run(
        job(
            job_id="3",
            commands=["mkdir sub; touch result sub/other 'a b'"],
            required_files=required,
        )
    )
    assert (ran.code, ran.stderr) == (0, "")


def test_an_input_may_be_required(machine: Machine) -> None:
    """A required file that was staged in and left alone is there."""
    machine.put("jobs/1/input")
    assert machine.folder("true", required_files=["input"]).code == 0


def test_time_over_ends_the_job_and_keeps_its_results(machine: Machine) -> None:
    """The job is asked to end, may tidy up, and what it has by then is staged out."""
    machine.put(
        "jobs/1/run.sh", "trap 'echo tidy > state; exit 0' TERM; echo 1 > part; sleep 60 & wait"
    )
    ran = machine.run(job(folder="jobs/1", executable="run.sh"), machine.place(timeout_s=0.5))
    assert (ran.code, ran.last_word) == (124, "shoal: timed out after 0.5 s")
    assert sorted(machine.uploads()) == ["part", "state"]
    assert not _marked(machine)


def test_nothing_watches_a_job_that_has_ended(machine: Machine) -> None:
    """The watch over the time ends with the job; it holds up nothing."""
    began = time.monotonic()
    assert machine.folder("true").code == 0
    assert time.monotonic() - began < 10
    assert not _marked(machine)


def test_links_are_not_followed_out_of_the_folder(machine: Machine) -> None:
    """A link inside counts as the file it leads to; one that leaves is refused."""
    secret = machine.root / "secret"
    secret.write_text("secret")
    machine.put("jobs/1/data", "data")
    ran = machine.folder(
        "ln -s data inside; mkdir d; echo 1 > d/new; ln -s ../data d/up; ln -s d folder\n"
        "ln -s nowhere dangling; ln -s loop loop; mkfifo pipe; ln -s $PWD/d/new absolute\n"
    )
    assert (ran.code, ran.stderr) == (0, "")
    assert sorted(machine.uploads()) == ["absolute", "d/new", "d/up", "inside"]
    assert machine.read("jobs/1/d/up") == "data"
    machine.put("jobs/2/run.sh", f"echo 1 > good; ln -s {secret} bad")
    ran = machine.run(job(job_id="2", folder="jobs/2", executable="run.sh"))
    assert ran.code == 121
    assert ran.last_word == (
        "shoal: result bad is a link that leaves the job folder:"
        " put a copy of the file in its place"
    )
    assert machine.read("jobs/2/good") == "1\n"
    assert not (machine.bucket / "jobs/2/bad").exists()


def test_a_work_folder_that_was_replaced_is_refused(machine: Machine) -> None:
    """A job can't make Shoal upload another folder in place of its work folder."""
    (machine.root / "else").mkdir()
    (machine.root / "else" / "secret").touch()
    ran = machine.folder(f"cd ..; mv work gone; ln -s {machine.root}/else work")
    assert (ran.code, machine.uploads()) == (121, {})


def test_ten_thousand_files_take_few_processes(machine: Machine) -> None:
    """A large folder costs seconds, not a process a file."""
    folder = machine.bucket / "jobs" / "1"
    folder.mkdir(parents=True)
    for number in range(10_000):
        (folder / f"input {number}").touch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = machine.folder("for n in 1 2 3; do cp 'input 1' out$n; done; rm 'input 9'")
    assert ran.code == 0, ran
    assert sorted(machine.uploads()) == ["out1", "out2", "out3"]
    assert machine.leftovers() == []
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, which other tests at work don't stretch; a process a file takes over 10 s.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


# --- EC2WorkingDirectory --------------------------------------------------------------------


def test_scripts_that_name_the_working_directory_run_unchanged(machine: Machine) -> None:
    """Inputs are seen there and results taken from there, also those of subfolders."""
    there = machine.working_directory
    machine.put("jobs/1/jobId_0.input", "input")
    machine.put("jobs/1/sub/data", "data")
    ran = machine.folder(
        f"#!/bin/bash\ncp {there}/jobId_0.input {there}/jobId_0.output\n"
        f"cat {there}/sub/data > {there}/sub/result; mkdir {there}/new; echo 1 > {there}/new/file\n"
        f"echo 2 > {there}/.hidden; test -x {there}/run.sh",
        required_files=["jobId_0.output", "new/file"],
    )
    assert (ran.code, ran.stderr) == (0, "")
    assert sorted(machine.uploads()) == [".hidden", "jobId_0.output", "new/file", "sub/result"]
    assert machine.read("jobs/1/jobId_0.output") == "input"
    assert machine.leftovers() == []


def test_what_was_in_the_working_directory_stays(machine: Machine) -> None:
    """What the machine's image has there is left alone, even where a job has the same name."""
    there = machine.working_directory
    there.mkdir(parents=True)
    (there / "data").write_text("the image's")
    (there / "tool").write_text("the image's")
    (there / "link").symlink_to("tool")
    machine.put("jobs/1/data", "the job's")
    ran = machine.folder(f"cat data {there}/data; echo more >> {there}/tool; echo 1 > {there}/new")
    assert ran.stdout.startswith("the job'sthe image's")
    assert list(machine.uploads()) == ["new"]
    assert machine.leftovers() == ["data", "link", "tool"]
    assert (there / "link").is_symlink()
    assert (there / "tool").read_text() == "the image'smore\n"


def test_files_replaced_by_their_other_path_are_results(machine: Machine) -> None:
    """Writing through a link, replacing it, renaming it: each is the change it looks like."""
    there = machine.working_directory
    for name in ("written", "replaced", "renamed", "removed", "copied", "d/file"):
        machine.put(f"jobs/1/{name}", name)
    ran = machine.folder(
        f"cd {there}; echo x >> written; sed -i s/e/E/ replaced; mv renamed now; rm removed\n"
        f"ln -s {there}/copied latest; ln -s latest again; rm d; mkdir d; echo 2 > d/file2\n"
    )
    assert (ran.code, ran.stderr) == (0, "")
    assert sorted(machine.uploads()) == ["again", "d/file2", "latest", "now", "replaced", "written"]
    assert machine.read("jobs/1/replaced") == "rEplaced"
    assert machine.read("jobs/1/now") == "renamed"
    assert machine.read("jobs/1/again") == "copied"
    assert machine.leftovers() == []


def test_links_of_an_attempt_that_vanished_are_removed(machine: Machine) -> None:
    """A link into an attempt's folder that is not there any more is no file of the machine."""
    machine.working_directory.mkdir(parents=True)
    gone = machine.shoal / "attempts" / "0123456789abcdef-1.1" / "work" / "data"
    (machine.working_directory / "data").symlink_to(gone)
    machine.put("jobs/1/data", "fresh")
    assert machine.folder(f"cat {machine.working_directory}/data").stdout == "fresh"
    assert machine.leftovers() == []


@pytest.mark.parametrize("place", ["C:\\ProgramData\\Amazon\\SSM", "", "/"])
def test_a_working_directory_that_is_none_is_left_out(machine: Machine, place: str) -> None:
    """The template's default is a Windows path; then executables use their own folder only."""
    machine.put("jobs/1/run.sh", "echo 1 > result")
    spec = job(folder="jobs/1", executable="run.sh")
    ran = machine.run(spec, machine.place()._replace(working_directory=place))
    assert (ran.code, ran.stderr) == (0, "")
    assert list(machine.uploads()) == ["result"]


@pytest.mark.parametrize("name", ["a b", "$(x)'\"", "-d", "ünï"])
def test_the_working_directory_is_data_too(machine: Machine, name: str) -> None:
    """Whatever the parameter holds, it is a path and nothing else."""
    machine.working_directory = machine.root / name
    machine.put("jobs/1/in", "1")
    ran = machine.folder(
        'cp "$THERE/in" "$THERE/out"', environment={"THERE": str(machine.root / name)}
    )
    assert (ran.code, list(machine.uploads())) == (0, ["out"])
    assert machine.leftovers() == []


def _marked(machine: Machine) -> list[str]:
    """The processes that attempts on this machine have started."""
    mark = f"SHOAL_WORK={machine.shoal}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes():
                found.append(path.parent.name)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # another's, or gone meanwhile
    return found


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
