"""Pages are for everybody: on a phone, in the dark, read aloud."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.cli.shell import until

from .conftest import Dashboard
from .visitor import Visit, Visitor

LONG = "sweep-with-a-name-that-does-not-end/" + "x" * 90
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 800}
ENOUGH = 4.5
"""The contrast of text that WCAG 2 asks for."""

TEXTS = """() => {
    const found = {};
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const of = walker.currentNode.parentElement;
        const box = of.getBoundingClientRect();
        const text = walker.currentNode.textContent.trim();
        const isHidden = of.closest(".unseen, .skip, title, noscript") || !of.checkVisibility();
        if (!text || isHidden || box.width < 2 || box.height < 2) continue;
        let behind = of;
        while (behind && /, 0\\)$|^transparent$/.test(getComputedStyle(behind).backgroundColor)) {
            behind = behind.parentElement;
        }
        const own = getComputedStyle(of);
        const colour = of instanceof SVGElement ? own.fill : own.color;
        const background = getComputedStyle(behind ?? document.documentElement).backgroundColor;
        found[`${colour}|${background}`] = text;
    }
    return Object.entries(found).map(([key, text]) => [...key.split("|"), text]);
}"""


class Look(NamedTuple):
    """A text on a page with its colours."""

    colour: tuple[float, ...]
    background: tuple[float, ...]
    text: str

    @property
    def contrast(self) -> float:
        """By WCAG 2: from 1, the same, to 21, black on white."""
        light, dark = sorted((luminance(self.colour), luminance(self.background)), reverse=True)
        return (light + 0.05) / (dark + 0.05)


def luminance(colour: Iterable[float]) -> float:
    """The relative luminance of a colour (WCAG 2), from three numbers of 0 to 255."""
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def rgb(colour: str) -> tuple[float, ...]:
    """The three numbers of a colour as a browser tells it."""
    assert colour.startswith("rgb"), colour
    return tuple(map(float, re.findall(r"[\d.]+", colour)))[:3]


def paper(page: Page) -> float:
    """How bright a page is behind all, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return luminance(rgb(colour))


def looks(page: Page) -> list[Look]:
    """All pairs of colours that texts of a page have, each with one of these texts."""
    return [Look(rgb(of), rgb(behind), text) for of, behind, text in page.evaluate(TEXTS)]


@pytest.fixture(scope="module")
def at_work(served: Dashboard, tmp_path_factory: pytest.TempPathFactory) -> Iterable[Dashboard]:
    """Jobs of all kinds, two of them running, with long names."""
    go = tmp_path_factory.mktemp("work") / "go"
    shell = served.shell
    (shell.folder / "files").mkdir()
    (shell.folder / "files" / "input").touch()
    shell.submit("good", "echo " + "y" * 500 + f"; echo > {'z' * 120}", folder="files")
    shell.submit("bad", "echo " + "no" * 200 + " >&2; exit 3", retry=1, batch=LONG)
    shell.submit("away", "true", priority=-5)
    shell.wait()
    shell.submit(LONG, f"seq 50; {until(go)}", batch=LONG)
    shell.submit("runs", f"echo here; {until(go)}")
    shell.submit("waits", "true", batch=LONG)
    shell.submit("not", "true")
    shell.type("cancel", "not")
    yield served
    go.touch()
    shell.wait()


PAGES = {
    "/": "svg, canvas",
    "/jobs": "#rows .id",
    "/jobs?q=nothing": ".empty",
    f"/job?id={LONG}": ".log-state[data-kind=live]",
    "/job?id=bad": ".attempts .failed",
    "/job?id=good": ".files a",
    "/job?id=waits": ".panel",
    "/workers": "svg.gantt",
    "/nowhere": ".message",
}
"""Each page, with what is there once it is whole."""


@pytest.fixture(scope="module", params=PAGES)
def page(chromium: Browser, at_work: Dashboard, request: pytest.FixtureRequest) -> Iterable[Page]:
    """Each page, opened on a phone, when all of it is there."""
    visitor = Visitor(chromium, at_work.url, viewport=PHONE, has_touch=True, color_scheme="light")
    page = visitor.open(request.param)
    expect(page.locator(PAGES[request.param]).first).to_be_attached()
    if request.param == "/nowhere":
        visitor.forgive("404 (Not Found)")
    yield page
    visitor.leave()
    assert visitor.complaints == []


def test_no_page_is_wider_than_a_phone(page: Page) -> None:
    """At 360 pixels nothing but what scrolls by itself is wider than the window."""
    page.set_viewport_size(PHONE)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]")
    assert max(wide) <= PHONE["width"]


def test_texts_can_be_read_in_light_and_dark(page: Page) -> None:
    """Every text has the contrast that WCAG asks for; a dark page is dark, without a click."""
    page.set_viewport_size(DESK)
    light, lit = looks(page), paper(page)
    page.emulate_media(color_scheme="dark")
    dark, unlit = looks(page), paper(page)
    poor = [look for look in light + dark if look.contrast < ENOUGH]
    assert poor == []
    assert len(light) > 3
    assert lit > 0.8
    assert unlit < 0.05


def test_pages_can_be_read_aloud(page: Page) -> None:
    """A page says its language, has a title and one heading; what one can use has a name."""
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title().endswith(" · Shoal")
    assert page.locator("h1").count() == 1
    expect(page.locator("h1")).not_to_be_empty()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, a, pre, [tabindex='0']")]
            .filter((of) => of.type !== "hidden" && !of.labels?.length && !of.textContent.trim()
                && !of.getAttribute("aria-label") && !of.querySelector("title"))
            .map((of) => of.outerHTML)"""
    )
    assert nameless == []
    doubled = page.evaluate(
        """() => [...document.querySelectorAll("[id]")].map((of) => of.id)
            .filter((id, at, all) => all.indexOf(id) !== at)"""
    )
    assert doubled == []


def test_the_theme_is_chosen_and_kept(large: Dashboard, visit: Visit) -> None:
    """The switch overrides what the system says, on the pages that follow, too."""
    page = visit(large, color_scheme="light").open("/jobs")
    switch = page.get_by_role("button", name="Theme")
    for name in ("light", "dark"):
        switch.click()
        expect(switch).to_have_text(f"Theme: {name}")
    page.goto("/workers")
    expect(switch).to_have_text("Theme: dark")
    assert paper(page) < 0.05
