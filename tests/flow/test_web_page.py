"""An operator's way through the page in a real browser, on a real farm; every page is looked at by axe on the way.

Screenshots go to CINEFARM_ARTEFACTS (default: test-artefacts/), at 1280 and 390 pixels, light and dark.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.desk import Desk
from support.office import Office
from support.server import redis_server

pytestmark = [pytest.mark.farm, pytest.mark.peer("chromium"), pytest.mark.timeout(600)]

SERIOUS = ("serious", "critical")
PATIENCE_MS = 240_000
"""For what a farm does; a page itself has the browser's own five seconds."""

HAVE_CURRENT_DATA = 2
"""readyState of a player that shows a picture (HTML, HTMLMediaElement)."""

HEADER = "file,PatientID,PatientName,StudyDate,Modality\n"


@pytest.fixture
def office(desk: Desk) -> Iterator[Office]:
    """A farm of services with one worker: an easy clip, and a storm that meets the gate for review but not the one for diagnosis."""
    desk.camera("clip.mp4", seconds=2)
    desk.noise("storm.avi", size="1280x720", strength=40, frames=10)
    with redis_server() as broker_url:
        office = Office(desk, broker_url, "")
        try:
            office.serve()
            office.worker("describe", "deliver", "cpu", slots=2)
            yield office
        finally:
            office.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A person in front of the page; what is wrong with it is collected."""

    page: Page
    folder: Path
    shots: int = 0
    wrong: list[str] = field(default_factory=list)

    def look(self, name: str) -> None:
        """Let axe look at the page, and keep pictures of it as a desk and a phone show it, light and dark."""
        found = Axe().run(self.page).response["violations"]
        self.wrong += [f"{name}: {each['id']}: {each['help']}" for each in found if each["impact"] in SERIOUS]
        self.shots += 1
        for width, height, scheme in (
            (1280, 900, "light"),
            (1280, 900, "dark"),
            (390, 844, "light"),
            (390, 844, "dark"),
        ):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            self.page.set_viewport_size({"width": width, "height": height})
            wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            self.wrong += [f"{name}: {wide} pixels wider than a screen of {width}"] if wide > 0 else []
            self.page.screenshot(path=self.folder / f"{self.shots:02}-{name}-{width}-{scheme}.png", full_page=True)
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")


@pytest.fixture
def visit(browser: Browser, office: Office) -> Iterator[Visit]:
    """A browser that has opened the page; whatever it complains of is wrong."""
    folder = Path(os.environ.get("CINEFARM_ARTEFACTS", "test-artefacts")) / "web"
    folder.mkdir(parents=True, exist_ok=True)
    url = _url(office)
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin")
    visit = Visit(context.new_page(), folder)
    visit.page.on("pageerror", lambda error: visit.wrong.append(f"script: {error}"))
    visit.page.on("console", lambda said: visit.wrong.append(said.text) if said.type == "error" else None)
    visit.page.on(
        "request", lambda asked: None if asked.url.startswith(url) else visit.wrong.append(f"outside: {asked.url}")
    )
    yield visit
    context.close()


def _url(office: Office) -> str:
    """Where the service says that its page is."""
    told = office.desk.state / "api.json"
    end = time.monotonic() + 60
    while not told.exists():
        assert time.monotonic() < end, "the server did not come"
        time.sleep(0.1)
    return str(json.loads(told.read_text(encoding="utf-8"))["url"])


def csv_of(desk: Desk, name: str, rows: str) -> Path:
    path = desk.folder / name
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def test_an_operators_day(office: Office, visit: Visit) -> None:
    page, desk = visit.page, office.desk
    page.goto("/")
    visit.look("empty")

    # submit, with an error in the CSV; mended, the plan is shown before anything moves
    page.get_by_role("link", name="New job").click()
    page.get_by_label("Name", exact=True).fill("Endoscopy 2024")
    page.get_by_label("Sources, one a line").fill(str(desk.sources))
    page.get_by_label("Destinations, one a line").fill(str(desk.out))
    page.get_by_label("Profile").select_option("diagnostic-fixed")
    page.get_by_label("Mapping CSV").set_input_files(csv_of(desk, "wrong.csv", "*.mp4,P-1,Doe^Jane,31.12.2024,ES\n"))
    expect(page.locator("#csv-faults")).to_contain_text("line 2, column 4 (StudyDate)", timeout=20_000)
    visit.look("csv-error")
    good = csv_of(desk, "good.csv", "*.mp4,P-1,Doe^Jane,20241231,ES\n*.avi,P-2,Roe^Rick,20241231,ES\n")
    page.get_by_label("Mapping CSV").set_input_files(good)
    expect(page.get_by_role("heading", name="What it would do")).to_be_visible(timeout=40_000)
    expect(page.locator("#answer")).to_contain_text("storm.avi")
    visit.look("plan")
    page.get_by_role("button", name="Submit job").click()

    # watched live: the page is never loaded again
    expect(page.get_by_role("heading", name="Endoscopy 2024")).to_be_visible()
    page.evaluate("window.loadedOnce = true")
    expect(page.get_by_role("heading", name="At work now")).to_be_visible(timeout=PATIENCE_MS)
    visit.look("running")
    decide = page.get_by_role("link", name=re.compile("Decide about 1 item"))
    expect(decide).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".states")).to_contain_text("1 done", timeout=PATIENCE_MS)
    assert page.evaluate("window.loadedOnce") is True
    visit.look("job")

    # the quarantined item: its worst frames, then another profile
    decide.click()
    page.get_by_role("link", name=re.compile("Quality gate missed")).first.click()
    expect(page.get_by_text("storm.avi").first).to_be_visible()
    visit.look("exception")
    page.get_by_role("link", name="open storm.avi").click()
    _plays(page)
    visit.look("quarantined-item")
    page.get_by_label("Reason").fill("a teaching copy is enough")
    page.get_by_label("Profile").select_option("review-fixed")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("1 item begins again by profile review-fixed")
    visit.look("decided")
    page.get_by_role("link", name="Continue").click()

    # done: the timeline says who decided, the video plays, the report can be taken away
    state = page.locator("h1 + p .pill")
    for _ in range(120):
        if state.inner_text() == "done":
            break
        page.wait_for_timeout(1000)
        page.reload()
    expect(state).to_have_text("done")
    expect(page.locator(".timeline")).to_contain_text("a teaching copy is enough")
    assert re.fullmatch(r"/dicomweb/studies/.+/rendered", page.locator("video").get_attribute("src") or "")
    _plays(page)
    visit.look("done-item")
    page.get_by_role("link", name="Endoscopy 2024").click()
    with page.expect_download() as waited:
        page.get_by_role("link", name="Report (HTML)").click()
    assert "storm.avi" in waited.value.path().read_text(encoding="utf-8")
    visit.look("ended-job")

    page.goto("/workers")
    expect(page.get_by_role("button", name=re.compile("Drain"))).to_be_visible()
    visit.look("workers")
    page.goto("/")
    visit.look("overview")
    assert visit.wrong == []


def _plays(page: Page) -> None:
    """The video on the page has a length, and its time goes on; it is read by ranges."""
    expect(page.locator("video")).to_be_visible()
    source = page.locator("video").get_attribute("src")
    assert source is not None
    part = page.request.get(source, headers={"range": "bytes=0-99"})
    assert (part.status, len(part.body())) == (206, 100)
    page.locator("video").evaluate("video => { video.muted = true; video.loop = true; return video.play(); }")
    for _ in range(100):  # by steps of ours: the page's policy forbids a script that waits in it
        seen = page.locator("video").evaluate("video => [video.currentTime > 0, video.readyState, video.videoWidth]")
        if seen[0]:
            break
        page.wait_for_timeout(100)
    assert seen[0], "the video does not play"
    assert seen[1] >= HAVE_CURRENT_DATA
    assert seen[2] > 0
    page.locator("video").evaluate("video => { video.pause(); video.currentTime = video.duration / 2; }")
    expect(page.locator("video")).to_have_js_property("seeking", value=False)
