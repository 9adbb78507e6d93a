"""The pages in a real browser: whole, quiet, within the screen, in light and dark, and deaf to what names would do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lapel.photos import GarmentFolder
from lapel.report import write_photos, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENS = [(390, 844), (1400, 900)]
PAGES = ["report", "unfinished", "hostile", "photos"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, Playwright's own or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
    with playwright.sync_playwright() as started:
        own = Path(started.chromium.executable_path)
        found = str(own) if own.is_file() else next(filter(None, map(shutil.which, names)), None)
        if found is None:
            pytest.skip("no Chromium: `playwright install chromium`, or one on the PATH")
        browser = started.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory,
    write_run: Callable[..., Path],
    garment: Callable[..., GarmentFolder],
    hostile: str,
) -> dict[str, Path]:
    """The pages, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("pages")
    whole = [row["image"] for row in garment().photos]
    moved = [[(photo, f"{hostile}, at the beach")] * 5 for photo in whole]
    return {
        "report": write_report(write_run(folder / "report")),
        "unfinished": write_report(write_run(folder / "unfinished", finished=False)),
        "hostile": write_report(write_run(folder / "hostile", text=hostile)),
        "photos": write_photos(folder / "photos", garment(hostile), whole, whole, moved)[0],
    }


def opened(browser: Browser, path: Path, size: tuple[int, int], scheme: str) -> tuple[Page, list[str]]:
    """The page, and all that it asked for or complained about."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: heard.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(path.as_uri())
    heard.remove(path.as_uri())
    return page, heard


@pytest.mark.parametrize("name", PAGES)
def test_whole_quiet_and_within_the_screen(browser: Browser, pages: dict[str, Path], name: str) -> None:
    page, heard = opened(browser, pages[name], SCREENS[0], "light")
    for details in page.locator("details > summary").all():
        details.click()
    assert page.evaluate("document.images.length") > 0
    broken = "[...document.images].filter((image) => !image.complete || !image.naturalWidth).map((image) => image.alt)"
    assert page.evaluate(broken) == []
    assert page.evaluate("window.owned") is None
    assert page.locator("main script:not([type='application/json'])").count() == 0
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = "getComputedStyle(document.body).{}.match(/\\d+/g).reduce((sum, part) => sum + Number(part), 0)"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        paper, ink = (page.evaluate(light.format(of)) for of in ("backgroundColor", "color"))
        assert paper - ink > 450 if scheme == "light" else ink - paper > 450
    assert heard == []
    page.close()


def test_curves_are_drawn_in_the_colours_of_the_scheme(browser: Browser, pages: dict[str, Path]) -> None:
    page, heard = opened(browser, pages["report"], SCREENS[0], "light")
    count = """([canvas, colour]) => {
        const [r, g, b] = colour, {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4)
            found += data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255;
        return found;
    }"""
    charts = page.locator(".chart")
    # Score, colour, loss and learning rate.
    assert charts.count() == 4
    light, dark = [0xA6, 0x3D, 0x27], [0xF0, 0x93, 0x7A]
    for scheme, ink, other in (("light", light, dark), ("dark", dark, light)):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        for canvas in page.locator(".chart canvas").element_handles():
            assert page.evaluate(count, [canvas, ink]) > 0
            assert page.evaluate(count, [canvas, other]) == 0
    assert charts.nth(0).locator("output").inner_text() == "0.7 (0.3 to 0.9) \N{MIDDLE DOT} step 300"
    page.set_viewport_size({"width": 900, "height": 700})
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    for plot in page.locator(".plot").all():
        assert plot.evaluate("plot => plot.querySelector('.u-wrap').clientWidth === plot.clientWidth")
    # The browser's advice on reading pixels is about this test.
    assert [line for line in heard if "willReadFrequently" not in line] == []
    page.close()


def test_words_are_copied_and_pictures_open(browser: Browser, pages: dict[str, Path]) -> None:
    page, heard = opened(browser, pages["report"], SCREENS[0], "light")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    button = page.locator("article", has=page.get_by_role("heading", name="WebUI")).get_by_role("button", name="Copy")
    button.click()
    page.wait_for_function("window.copied")
    assert page.evaluate("window.copied") == "a photo of sks t-shirt <lora:red-tee:0.8>"
    page.locator("#samples button.picture").last.click()
    assert page.locator("dialog[open] p").inner_text() == "step 400, sks t-shirt, at the beach"
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert heard == []
    page.close()


def test_a_script_that_slipped_in_would_not_run(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    html = pages["report"].read_text(encoding="utf-8")
    slipped = tmp_path / "slipped.html"
    inserted = "<script>window.owned = 1</script><img src='https://example.com/a.png'>"
    slipped.write_text(html.replace("</main>", f"{inserted}</main>"), encoding="utf-8")
    page, heard = opened(browser, slipped, SCREENS[1], "light")
    assert page.evaluate("window.owned") is None
    refused = [line for line in heard if "Content Security Policy" in line]
    assert len(refused) == 2
    assert any("'https://example.com/a.png'" in line for line in refused)
    page.close()
