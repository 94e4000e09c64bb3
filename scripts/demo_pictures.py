"""Pictures of the demo's tabs, in light, dark or phone width: python scripts/demo_pictures.py

The tabs in light go into space/assets; a rendered person is on each, and nobody real.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from playwright.sync_api import sync_playwright

from hf_crossspec.demo import DemoOptions
from hf_crossspec.demo.app import running

ASSETS = Path(__file__).resolve().parents[1] / "space" / "assets"
SCREENS = {"light": (1120, 700), "dark": (1120, 700), "phone": (390, 844)}
WAIT = 90_000  # milliseconds
LARGEST, TALLEST = 150_000, 1500  # bytes, pixels


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder for the pictures.")] = ASSETS,
    every_screen: Annotated[
        bool, typer.Option("--every-screen", help="Dark and phone, too, as name-screen.jpg.")
    ] = False,
    hallucinator: Annotated[str | None, typer.Option(help="A hallucination model, for its tab.")] = None,
) -> None:
    """Serve the demo, visit each tab and take its picture."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("error: no chromium on this machine")
    output_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        demo = stack.enter_context(running(DemoOptions(host="127.0.0.1", hallucinator=hallucinator)))
        _ = demo.engine.networks
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox"]
        )
        for screen in SCREENS if every_screen else ("light",):
            for name, picture in take(browser, demo.address, screen, hallucinator is not None).items():
                target = output_dir / (f"demo_{name}-{screen}.jpg" if every_screen else f"demo_{name}.jpg")
                save(picture, target)
                print(f"{target}: {target.stat().st_size:,} bytes")
        browser.close()


def take(browser: Any, address: str, screen: str, hallucination: bool) -> dict[str, bytes]:
    """Screenshots of the tabs by name."""
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if screen == "dark" else "light"
    )
    context.set_default_timeout(WAIT)
    page = context.new_page()
    page.goto(address)
    page.locator("#verdict").wait_for()
    pictures = {"verify": shot(page)}
    page.get_by_role("tab", name="Identify", exact=True).click()
    page.get_by_role("button", name="Somebody enrolled, in infrared").click()
    page.locator("#ranking .card").first.wait_for()
    pictures["identify"] = shot(page)
    page.get_by_role("tab", name="Spectra", exact=True).click()
    page.locator("#projection svg").first.wait_for()
    pictures["spectra"] = shot(page)
    if hallucination:
        page.get_by_role("tab", name="Hallucinate", exact=True).click()
        page.get_by_role("button", name="Take a rendered example").click()
        page.locator("#hallucination img").nth(2).wait_for()
        pictures["hallucinate"] = shot(page)
    page.get_by_role("tab", name="Model", exact=True).click()
    page.locator("#rates .rate").first.wait_for()
    pictures["model"] = shot(page)
    context.close()
    return pictures


def shot(page: Any) -> bytes:
    """The whole page, once it has come to rest."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.wait_for_timeout(500)  # Gradio fades its progress bars out
    taken: bytes = page.screenshot(full_page=True)
    return taken


def save(picture: bytes, target: Path) -> None:
    """As JPEG, in the best quality that stays small."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, TALLEST)))  # the model's cards go on for long
    for quality in (88, 80, 70, 60, 50):
        image.save(target, "JPEG", quality=quality, optimize=True, progressive=True)
        if target.stat().st_size <= LARGEST:
            return


if __name__ == "__main__":
    typer.run(main)
