"""Takes pictures of the dashboard: `python docs/shots.py [--keep] [FOLDER]`, in two minutes.

It runs some hundreds of jobs of a made-up simulator on eight workers, kills one of these, and lets
a Chromium look at every page: light and dark, wide and narrow. FOLDER is build/shots unless named;
--keep also puts those of the README, made small, into docs/assets.
"""

import argparse
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import shoal
from shoal.client import Client

CHROMIUM = "/usr/bin/chromium"
WORKERS = 8
LOOK_AFTER_S = 75
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES = {"wide": (1280, 800, 1.5), "narrow": (390, 844, 2)}

KEPT = {
    "dashboard-overview": "overview-wide-light",
    "dashboard-workers": "workers-wide-dark",
    "dashboard-phone": "overview-narrow-light",
}
"""The README's pictures, and which shots they are."""

SIMULATE = r"""#!/bin/sh
# What a simulator is like: it prints, takes its time, leaves a file, and now and then gives up.
seed=$(echo "$*" | cksum | cut -d ' ' -f 1)
steps=$((6 + seed % 5 * (1 + seed % 7) / 2))
echo "simulating $*"
for step in $(seq 1 $steps); do
    sleep 0.$((1 + seed % 3))
    echo "  step $step of $steps: residual $((seed % (90 - 2 * step) + 10))e-0$((step / 2 + 1))"
done
if [ $((seed % 23)) = 0 ] && [ $((seed % 2 + SHOAL_ATTEMPT)) -lt 3 ]; then
    echo "no convergence at t = $((seed % 80 + 10)) ps" >&2
    exit 3
fi
echo "delay_ps,slew_ps,energy_fj" > timing.csv
echo "$((seed % 60 + 20)).$((seed % 10)),$((seed % 40 + 9)).2,$((seed % 9 + 1)).7" >> timing.csv
echo "$(tail -n 1 timing.csv) -> timing.csv"
"""
SLOW = """simulate --cell sram --corner ss
for n in $(seq 1 500); do
    echo "cycle $n: margin $((n * 7 % 40 + 60)) mV"
    sleep 0.3
done"""


def main() -> None:
    """Fill an environment, let it run, and look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", metavar="FOLDER", nargs="?", type=Path, default="build/shots")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    target: Path = given.target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    folder = Path(tempfile.gettempdir(), "cells")  # which the pictures show
    folder.mkdir()
    with tempfile.TemporaryDirectory() as made:
        tools = Path(made)
        (tools / "simulate").write_text(SIMULATE)
        (tools / "simulate").chmod(0o755)
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        words = ["up", str(folder), "--max-workers", str(WORKERS)]
        with (
            shoal.connect(folder) as client,
            subprocess.Popen(
                [Path(sys.executable).with_name("shoal"), *words],
                env={**os.environ, "PATH": path, "SHOAL_BACKOFF_BASE_S": "2"},
                stderr=subprocess.PIPE,
                text=True,
            ) as up,
        ):
            assert up.stderr is not None
            url = next(line for line in up.stderr if "token=" in line).split()[-1]
            try:
                look(client, folder, url, target)
            finally:
                client.cancel("*")
                up.send_signal(signal.SIGINT)
                up.stderr.read()
    shutil.rmtree(folder)
    if given.keep:
        keep(target)


def look(client: Client, folder: Path, url: str, target: Path) -> None:
    """Take all pictures, while jobs run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        watching = browser.new_page()
        watching.goto(url)  # so that the charts have something to show
        submit_sweep(
            client, folder, "characterization", ("inv", "buf", "nand2", "nor2", "aoi21", "dff")
        )
        time.sleep(LOOK_AFTER_S / 3)
        os.kill(next(worker.pid for worker in client.workers() if worker.pid), signal.SIGKILL)
        time.sleep(LOOK_AFTER_S / 3)
        submit_sweep(
            client, folder, "second-library", ("xor2", "mux2", "latch", "mux4", "nand3", "nor3")
        )
        write_input(folder / "sram/ss")
        run = {"commands": [SLOW], "folder": "sram/ss", "priority": 9, "batch": "memories"}
        client.submit({"job_id": "sram/ss", **run})
        time.sleep(LOOK_AFTER_S / 3)
        failed = next(quote(of.job_id) for of in client.jobs(statuses=[shoal.Status.FAILED]))
        pages = {
            "overview": "/",
            "jobs": "/jobs",
            "search": "/jobs?q=nand2&order=name",
            "empty": "/jobs?q=nothing-like-it",
            "job": "/job?id=sram/ss",
            "failed": f"/job?id={failed}",
            "workers": "/workers",
            "error": "/job?id=nobody",
        }
        for (size, scheme), (name, path) in itertools.product(
            itertools.product(SIZES, SCHEMES), pages.items()
        ):
            page = opened(browser, url, size, scheme)
            page.goto(path)
            page.wait_for_timeout(1_500)
            page.screenshot(path=target / f"{name}-{size}-{scheme}.png", full_page=size == "narrow")
            page.context.close()
        browser.close()


def keep(target: Path) -> None:
    """Put small copies of the README's pictures beside the documents."""
    for name, shot in KEPT.items():
        with Image.open(target / f"{shot}.png") as picture:
            width, height, scale = SIZES["narrow" if "narrow" in shot else "wide"]
            seen = picture.convert("RGB").crop((0, 0, int(width * scale), int(height * scale)))
            small = seen.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            small.save(Path(__file__).parent / "assets" / f"{name}.png", optimize=True)


def submit_sweep(client: Client, folder: Path, batch: str, cells: tuple[str, ...]) -> None:
    """Submit a job for each cell, corner, voltage and temperature."""
    jobs = []
    for cell, corner, voltage, temperature in itertools.product(
        cells, ("ff", "tt", "ss"), ("0.72", "0.80", "0.88"), (-40, 25, 85, 125)
    ):
        name = f"{cell}/{corner}-{voltage}V{temperature:+}C"
        command = f"simulate --cell {cell} --corner {corner} --vdd {voltage} --temp {temperature}"
        write_input(folder / name)
        jobs.append({"job_id": name, "commands": [command], "folder": name, "retry": 1})
    client.submit(*jobs, batch=batch)


def write_input(folder: Path) -> None:
    """What a job needs to start in a folder of its own."""
    folder.mkdir(parents=True)
    (folder / "models.inc").write_text(".param vth0 = 0.31\n")


def opened(browser: Browser, url: str, size: str, scheme: Scheme) -> Page:
    """A browser's window that has been let in."""
    width, height, scale = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme=scheme,
        base_url=url.partition("/?")[0],
    )
    page = context.new_page()
    page.goto(url)
    return page


if __name__ == "__main__":
    main()
