"""The demo as people use it: in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.demo.conftest import WAIT, Server, wait_until

pytestmark = pytest.mark.slow


@contextmanager
def visit(browser: Any, server: Server, **options: Any) -> Iterator[Any]:
    """A visitor of their own, who has seen the first example; asks no other host, and sees no error."""
    context = browser.new_context(**options)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    asked: list[str] = []
    failures: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    try:
        page.goto(server.url)
        page.locator("#verdict").wait_for()
        yield page
        assert not failures
        assert not [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    finally:
        context.close()


def give(page: Any, place: str, file: Path) -> None:
    """Choose a file at a place, instead of what is there."""
    remove = page.locator(f"#{place}").get_by_label("Remove Image")
    if remove.count():
        remove.click()
    page.locator(f"#{place} input[type=file]").first.set_input_files(file)


def verdict(page: Any, system: str) -> Any:
    return page.locator(f"#verdict .card.{system} .verdict")


def test_the_first_example_shows_what_the_adapter_does(browser: Any, server: Server) -> None:
    with visit(browser, server) as page:
        assert "Different people" in verdict(page, "without").inner_text()
        assert "Same person" in verdict(page, "with").inner_text()
        assert "Rendered people, simulated spectra" in page.locator(".intro").first.inner_text()
        page.get_by_role("button", name="Two people who look alike").focus()
        page.keyboard.press("Enter")
        page.locator("#answer .truth", has_text="two different people").wait_for()
        assert "wrong" in verdict(page, "without").inner_text()
        assert "right" in verdict(page, "with").inner_text()
        page.get_by_role("radio").first.check()
        page.locator("#verdict .card.with", has_text="false match rate of 1").wait_for()


def test_two_uploads_are_compared(browser: Any, server: Server, faces: dict[str, Path]) -> None:
    with visit(browser, server) as page:
        give(page, "first", faces["other"])
        page.locator("#verdict .card.with .verdict", has_text="Different people").wait_for()
        assert not page.locator("#answer .truth").count()
        give(page, "second", faces["other"])
        page.locator("#verdict .scale[aria-label*='similarity 1.000']").first.wait_for()
        page.locator("#second").get_by_label("Remove Image").click()
        page.locator("#answer", has_text="Give two pictures").wait_for()


def test_what_is_no_picture_is_refused_with_clear_words(browser: Any, server: Server, faces: dict[str, Path]) -> None:
    with visit(browser, server) as page:
        give(page, "first", faces["text"])
        page.get_by_text("Invalid file type").first.wait_for()
        give(page, "first", faces["not_a_picture"])
        page.get_by_text("not_a_picture.png: not readable as a picture").first.wait_for()


def test_a_wall_has_no_face(browser: Any, server: Server, faces: dict[str, Path]) -> None:
    with visit(browser, server) as page:
        give(page, "first", faces["wall"])
        without_detector = page.get_by_text("give the file").first
        page.get_by_text("No usable face: no face was found").or_(without_detector).first.wait_for()


def test_two_visitors_have_a_gallery_each(browser: Any, server: Server, faces: dict[str, Path]) -> None:
    with visit(browser, server) as one, visit(browser, server) as other:
        for page in (one, other):
            page.get_by_role("tab", name="Identify", exact=True).click()
        one.get_by_role("button", name="Enrol 24 rendered people").click()
        one.locator("#gallery", has_text="24 people enrolled").wait_for()
        other.get_by_text("Enrol a picture of your own").click()
        other.get_by_label("Name", exact=True).fill("<b>Ada</b>")
        give(other, "own", faces["other"])
        other.locator("#own img").wait_for()
        other.get_by_role("button", name="Enrol", exact=True).click()
        other.locator("#gallery", has_text="1 person enrolled").wait_for()
        give(other, "probe", faces["other"])
        other.locator("#ranking .card.with .bars li").first.wait_for()
        assert other.locator("#ranking .card.with .name").all_inner_texts() == ["<b>Ada</b>"]
        give(one, "probe", faces["same_nir"])
        one.locator("#ranking .card.with .verdict", has_text="Synthetic 171").wait_for()
        assert one.locator("#ranking .card.with .bars li").count() == 5
        one.get_by_role("button", name="Empty the gallery").click()
        one.locator("#gallery", has_text="The gallery is empty").wait_for()
        assert "1 person enrolled" in other.locator("#gallery").inner_text()


def test_an_example_is_identified(browser: Any, server: Server) -> None:
    with visit(browser, server) as page:
        page.get_by_role("tab", name="Identify", exact=True).click()
        page.get_by_role("button", name="Somebody enrolled, in infrared").click()
        page.locator("#ranking .truth", has_text="Synthetic 171").wait_for()
        assert page.locator("#ranking .card.with li.wanted .name").inner_text() == "Synthetic 171"
        page.get_by_role("button", name="A stranger, in infrared").click()
        page.locator("#ranking .truth", has_text="nobody of the gallery").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_fits_a_phone(browser: Any, server: Server, scheme: str) -> None:
    seen = {"Spectra": "#projection svg", "Model": "#facts table", "Identify": "#gallery", "Verify": "#verdict"}
    with visit(browser, server, viewport={"width": 390, "height": 844}, color_scheme=scheme) as page:
        for name, place in seen.items():
            page.get_by_role("tab", name=name, exact=True).click()
            page.locator(place).first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        dark = page.evaluate("document.body.classList.contains('dark') || !!document.querySelector('.dark')")
        assert dark == (scheme == "dark")


def test_sliders_move_the_rendered_person(browser: Any, server: Server) -> None:
    with visit(browser, server) as page:
        page.get_by_role("tab", name="Spectra", exact=True).click()
        page.locator("#spectra img").nth(3).wait_for()
        before = page.locator("#spectra img").first.get_attribute("src")
        page.get_by_role("slider", name="range slider for Head turned (degrees)").fill("20")
        assert wait_until(lambda: page.locator("#spectra img").first.get_attribute("src") != before)
        page.get_by_label("Thermal infrared (simulated)").check()
        page.locator(".legend", has_text="● thermal infrared").wait_for()


def test_controls_have_names(browser: Any, server: Server) -> None:
    with visit(browser, server) as page:
        for control in page.locator("button:visible, input:visible, [role=tab]:visible").all():
            handle = control.evaluate(
                "e => e.innerText || e.ariaLabel || e.title || e.placeholder || [...(e.labels || [])].join() || e.name"
            )
            assert handle, control.evaluate("e => e.outerHTML")
