"""`shoal top`: live on a terminal, plain elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shoal.cli.top_screen import sparkline

from .shell import PATIENCE_S, SHOAL, Shell, until, wait_until

ESCAPE = "\x1b["
HOME = f"{ESCAPE}H"


class Screen:
    """`shoal top` on a terminal.

    Args:
        shell: whose folder it is.
        columns, lines: of the terminal.
        words: more words of the command.
    """

    def __init__(self, shell: Shell, columns: int, lines: int, *words: str) -> None:
        self.ours, its = pty.openpty()
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(its, termios.TIOCSWINSZ, size)
        self.before = termios.tcgetattr(its)
        self.its = its
        self.child = subprocess.Popen(
            [SHOAL, "top", "--every", "0.1", *words],
            cwd=shell.folder,
            env=shell.variables,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.set_blocking(self.ours, False)
        self.seen = ""

    def read(self) -> str:
        """All that was written so far."""
        try:
            while piece := os.read(self.ours, 65_536):
                self.seen += piece.decode()
        except (BlockingIOError, OSError):
            pass
        return self.seen

    @property
    def picture(self) -> list[str]:
        """The lines of the last picture that is whole, without colours."""
        frames = self.read().split(HOME)
        text = frames[-2] if len(frames) > 2 else ""
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-z]", "", text).split("\r\n")]

    def shows(self, text: str) -> bool:
        """Whether it is in the last picture."""
        return any(text in line for line in self.picture)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.ours, keys)

    def end(self) -> int:
        """Wait for its end; returns its exit code."""
        wait_until(lambda: self.read() is None or self.child.poll() is not None, "top to end")
        self.read()
        return self.child.wait(PATIENCE_S)


@contextmanager
def top(shell: Shell, columns: int = 90, lines: int = 24, *words: str) -> Iterator[Screen]:
    """`shoal top` on a terminal, ended afterwards."""
    screen = Screen(shell, columns, lines, *words)
    try:
        yield screen
    finally:
        screen.child.kill()
        screen.child.wait()
        os.close(screen.its)
        os.close(screen.ours)


def test_once_is_plain(shell: Shell) -> None:
    """Counts, pace and failures, with no escape sequence; in a pipe without --once, too."""
    shell.submit("good")
    shell.submit("bad", "echo no licence; exit 7")
    shell.run_all()
    shell.submit("next")
    for words in (("top", "--once"), ("top",)):
        out = shell.type(*words).out
        assert ESCAPE not in out
        assert "1 Successful" in out
        assert "1 Failed" in out
        assert "1 Queued" in out
        assert "jobs a minute" in out
        assert "bad  exit code 7, last output: no licence" in out
        assert "nobody works on it" in out
        assert not any(line.endswith(" ") for line in out.splitlines())


def test_it_is_live_and_q_leaves(shell: Shell) -> None:
    """What runs is seen, and then that it is over; q ends it, and the terminal is as before."""
    go = shell.folder / "go"
    shell.submit("the-long-one", until(go))
    shell.up("--max-workers", "1")
    with top(shell) as screen:
        wait_until(lambda: screen.shows("the-long-one"), "the job to be seen")
        assert screen.shows("1 Started")
        assert screen.read().count("\x1b[?1049h") == 1
        go.touch()
        wait_until(lambda: screen.shows("1 Successful"), "its end to be seen")
        assert not screen.shows("the-long-one")
        screen.press(b"q")
        assert screen.end() == 0
        assert "\x1b[?1049l" in screen.seen
        assert "\x1b[?25h" in screen.seen
        assert termios.tcgetattr(screen.its) == screen.before
        assert "Traceback" not in screen.seen


def test_ctrl_c_leaves_cleanly(shell: Shell) -> None:
    """It is how one leaves: exit code 0, no traceback, the terminal as before."""
    shell.submit("a")
    with top(shell) as screen:
        wait_until(lambda: screen.shows("1 Queued"), "a picture")
        screen.child.send_signal(signal.SIGINT)
        assert screen.end() == 0
        assert "Traceback" not in screen.seen
        assert "\x1b[?1049l" in screen.seen
        assert termios.tcgetattr(screen.its) == screen.before


@pytest.mark.parametrize(("columns", "lines"), [(40, 12), (120, 30)])
def test_it_fits_the_terminal(shell: Shell, columns: int, lines: int) -> None:
    """However many failures there are, and however long their names and reasons."""
    for place in range(15):
        shell.submit(f"{place}-{'long-name-' * 10}", f"echo {'words ' * 30}; exit 1", retry=0)
    shell.run_all()
    with top(shell, columns, lines) as screen:
        wait_until(lambda: screen.shows("15 Failed"), "a picture")
        assert len(screen.picture) <= lines
        assert all(len(line) <= columns for line in screen.picture)
        assert screen.shows("latest failures")


def test_no_colour_and_nothing_from_jobs_but_text(shell: Shell) -> None:
    """NO_COLOR is honoured; control characters in ids and reasons are shown as marks."""
    shell.submit("[red]a", r"printf '\033]0;title\007\033[2Jevil'; exit 1")
    shell.run_all()
    shell.variables["NO_COLOR"] = "1"
    with top(shell) as screen:
        wait_until(lambda: screen.shows("evil"), "the failure to be seen")
        assert screen.shows("[red]a")
        assert "\x1b]0;" not in screen.seen
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.seen)
        assert "\x1b[2Jevil" not in screen.seen


def test_sparklines() -> None:
    """As wide as asked, at most; the highest is full, nothing is empty."""
    assert sparkline([], 10) == ""
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([0, 1, 2, 4], 10) == "▁▃▅█"
    assert sparkline([0, 0, 0, 8, 0, 0], 3) == "▁█▁"
    assert sparkline([1e9], 10) == "█"


@pytest.mark.parametrize("every", ["nan", "1e300"])
def test_a_pause_that_makes_no_sense_is_refused(shell: Shell, every: str) -> None:
    """Nobody could wait for it."""
    assert "Invalid value for '--every'" in shell.type("top", "--every", every, code=2).err
