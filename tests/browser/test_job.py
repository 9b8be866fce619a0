"""The page of a job: its output as it comes, its files, and what its buttons do."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import expect

from tests.cli.shell import until

from .conftest import Dashboard
from .visitor import Visit

STATUS = ".say .status"


def test_the_output_of_a_running_job_comes_line_by_line(
    busy: Dashboard, visit: Visit, tmp_path: Path
) -> None:
    """What a job prints appears while it runs, and its end is told, without loading anew."""
    first, second = tmp_path / "first", tmp_path / "second"
    script = f"echo one; {until(first)}; echo two; {until(second)}; echo three"
    busy.shell.submit("slow/talker", script)
    page = visit(busy).open("/jobs")
    page.get_by_role("link", name="slow/talker").click()
    page.evaluate("window.isSamePage = true")
    output = page.get_by_label("Output of the job")
    expect(page.locator(STATUS)).to_have_text("Started")
    expect(output).to_have_text("one")
    first.touch()
    expect(output).to_have_text("one two")
    expect(page.get_by_text("following")).to_be_visible()
    second.touch()
    expect(output).to_have_text("one two three")
    expect(page.get_by_text("complete")).to_be_visible()
    expect(page.locator(STATUS)).to_have_text("Successful")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("window.isSamePage")


def test_a_failed_job_is_retried(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Retry queues a failed job again; the page shows the new run's end beside the old one's."""
    repaired = tmp_path / "repaired"
    busy.shell.submit(
        "breaks", f"test -e '{repaired}' || {{ echo no licence; exit 3; }}; echo fine"
    )
    page = visit(busy).open("/job?id=breaks")
    expect(page.locator(STATUS)).to_have_text("Failed")
    expect(page.locator(".say .reason")).to_contain_text("3")
    expect(page.get_by_label("Output of the job")).to_have_text("no licence")
    repaired.touch()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Queued again.")).to_be_visible()
    expect(page.locator(STATUS)).to_have_text("Successful")
    expect(page.get_by_label("Output of the job")).to_have_text("fine")
    expect(page.locator(".attempts tbody .status")).to_have_text(["successful", "failed"])
    page.get_by_role("link", name="1.1", exact=True).click()
    expect(page.get_by_label("Output of the job")).to_have_text("no licence")


def test_a_running_job_is_cancelled(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Cancel ends what runs; the job is over, and its program too."""
    ended = tmp_path / "ended"
    never = until(tmp_path / "never")
    busy.shell.submit("endless", f"trap 'touch {ended}' EXIT; echo here; {never}")
    page = visit(busy).open("/job?id=endless")
    expect(page.get_by_label("Output of the job")).to_have_text("here")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(STATUS)).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert busy.shell.statuses()["endless"] == "Cancelled"
    expect(page.locator(".attempts tbody .status")).to_have_text(["cancelled"])


def test_what_is_over_can_not_be_cancelled_from_an_old_page(
    busy: Dashboard, visit: Visit, tmp_path: Path
) -> None:
    """A button that comes too late changes nothing, and the page says why."""
    go = tmp_path / "go"
    busy.shell.submit("quicker", until(go))
    visitor = visit(busy)
    page = visitor.open("/job?id=quicker")
    page.route("**/job/state*", lambda route: route.fulfill(status=204))  # the page stays old
    go.touch()
    busy.shell.wait()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("quicker")
    expect(page.locator(STATUS)).to_have_text("Successful")


def test_result_files_are_saved_as_they_are(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Results appear when the job is over; a click saves one byte for byte, under its name."""
    script = "head -c 300000 /dev/urandom > 'wave form.bin'; mkdir sub; echo 1,2 > sub/é.csv"
    folder = busy.shell.job_folder("results", script)
    page = visit(busy).open("/job?id=" + quote("results/run.sh"))
    for name, saved_as in (("wave form.bin", "wave form.bin"), ("sub/é.csv", "é.csv")):
        with page.expect_download() as download:
            page.locator(".files").get_by_role("link", name=name, exact=True).click()
        download.value.save_as(tmp_path / "saved")
        assert download.value.suggested_filename == saved_as
        assert (tmp_path / "saved").read_bytes() == (folder / name).read_bytes()


def test_the_whole_output_is_saved(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Of a long output the page shows the end; "Save all" brings every byte."""
    busy.shell.submit("chatty", "seq 100000; printf '\\033[31mred\\377'")
    page = visit(busy).open("/job?id=chatty")
    expect(page.get_by_text("complete")).to_be_visible()
    expect(page.get_by_label("Output of the job")).to_contain_text("100000 red")
    expect(page.get_by_text("The beginning is left out here")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save all").click()
    download.value.save_as(tmp_path / "saved")
    lines = b"".join(b"%d\n" % number for number in range(1, 100_001))
    assert (tmp_path / "saved").read_bytes() == lines + b"\x1b[31mred\xff"
