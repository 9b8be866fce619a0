"""Brings in the peers: from PyPI into a virtualenv beside this file, from Debian by apt-get.

Every step has a time limit, and whatever goes wrong is a `Skipped` with the reason. A step that
failed is not tried again in the same run.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from processes import Skipped, end_after

PEERS_VENV = Path(__file__).parent / ".venv-peers"

VENV_LIMIT_S = 120.0
PIP_LIMIT_S = 180.0
APT_LIMIT_S = 240.0
IMPORT_LIMIT_S = 60.0

PIP = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
# Wheels only: a build from source could take minutes. One retry: without a network, say so soon.
PIP_LIMITS = ("--only-binary", ":all:", "--retries", "1", "--timeout", "15")
APT = ("apt-get", "-y", "-qq", "-o", "DPkg::Lock::Timeout=30", "-o", "Acquire::Retries=1")


def python_with(package: str) -> Path:
    """Return the peers' Python once `package` is installed for it, or raise `Skipped`."""
    reason = _pypi_refusal(package)
    if reason:
        raise Skipped(reason)
    return PEERS_VENV / "bin" / "python"


def program(name: str, package: str) -> str:
    """Return the path of a program, installed from its Debian package if need be and possible."""
    reason = "" if shutil.which(name) else _debian_refusal(package)
    path = shutil.which(name)
    if path is None:
        raise Skipped(reason or f"{name} is not on PATH after installing {package}")
    return path


@functools.cache
def version(package: str) -> str:
    """Return `package` with its installed version, as it is in the peers' virtualenv."""
    script = "import importlib.metadata as m, sys; print(sys.argv[1], m.version(sys.argv[1]))"
    done = subprocess.run(
        [python_with(package), "-c", script, package],
        capture_output=True,
        text=True,
        timeout=IMPORT_LIMIT_S,
        check=False,
    )
    return done.stdout.strip() or package


@functools.cache
def _pypi_refusal(package: str) -> str:
    """Install `package` if it can't be imported yet; return why that failed, or nothing."""
    python = PEERS_VENV / "bin" / "python"
    if _attempt([str(python), "-c", f"import {package}"], IMPORT_LIMIT_S) == "":
        return ""
    refusal = _venv_refusal()
    if refusal:
        return refusal
    reason = _attempt([str(python), *PIP, *PIP_LIMITS, package], PIP_LIMIT_S)
    if not reason:
        reason = _attempt([str(python), "-c", f"import {package}"], IMPORT_LIMIT_S)
    return f"{package} could not be installed from PyPI: {reason}" if reason else ""


@functools.cache
def _venv_refusal() -> str:
    """Make the virtualenv, anew if it is damaged; return why that failed, or nothing."""
    if _attempt([str(PEERS_VENV / "bin" / "python"), "-m", "pip", "-V"], IMPORT_LIMIT_S) == "":
        return ""
    reason = _attempt([sys.executable, "-m", "venv", "--clear", str(PEERS_VENV)], VENV_LIMIT_S)
    return f"no virtualenv could be made: {reason}" if reason else ""


@functools.cache
def _debian_refusal(package: str) -> str:
    """Install a Debian package; return why that failed, or nothing."""
    if shutil.which("apt-get") is None:
        return f"not installed, and there is no apt-get to install {package}"
    if os.geteuid() != 0:
        return f"not installed; as root: apt-get install {package}"
    install = [*APT, "install", "--no-install-recommends", package]
    reason = _attempt(install, APT_LIMIT_S)
    if reason:
        # A machine that never fetched the package lists knows no packages.
        _attempt([*APT, "update"], APT_LIMIT_S)
        reason = _attempt(install, APT_LIMIT_S)
    return f"{package} could not be installed by apt-get: {reason}" if reason else ""


def _attempt(arguments: list[str], limit_s: float) -> str:
    """Run a command; return why it failed in a line, or nothing when it went well."""
    try:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return str(error)
    try:
        with end_after(limit_s, [process]):
            errors = process.communicate()[1]
    except Skipped as late:
        return str(late)
    if process.returncode == 0:
        return ""
    # The last line that names an error says most; addresses in it are nobody's business.
    lines = [line.strip() for line in errors.splitlines() if line.strip() and "://" not in line]
    named = [line for line in lines if line.lower().startswith(("e:", "error"))] or lines
    return named[-1][:100] if named else f"exit code {process.returncode}"
