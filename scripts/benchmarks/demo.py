"""The demo: how soon it answers, how many it answers at a time, and whether its memory grows."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hf_crossspec.cli.shared import JsonOption, write_result
from hf_crossspec.demo.synthetic import Shot, render

console = Console(highlight=False)
PROGRAM = "import typer; from hf_crossspec.cli.demo import demo; typer.run(demo)"
WAIT = 120_000  # milliseconds


def demo(
    rounds: Annotated[int, typer.Option(help="How often the server is started.", min=1)] = 5,
    visitors: Annotated[int, typer.Option(help="Requests at a time.", min=1)] = 20,
    requests: Annotated[int, typer.Option(help="Requests while memory is watched.", min=8)] = 500,
    json: JsonOption = None,
) -> None:
    """Start `crossspec demo` on the embedded network, visit it in a browser, and send it requests.

    Seconds count from the start of the process and from the browser's navigation: first contentful paint, and the
    verdict on the first example in the page. Needs playwright, chromium and psutil.
    """
    starts = [time_start() for _ in range(rounds)]
    result: dict[str, Any] = {"start": starts}
    for name in starts[0]:
        values = [start[name] for start in starts]
        console.print(f"{name}: median {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
    with tempfile.TemporaryDirectory() as folder, served() as (url, process):
        pictures = [Path(folder) / f"{modality}.png" for modality in ("vis", "nir-sim")]
        for path in pictures:
            render(Shot(171, 0, path.stem)).save(path)
        result["concurrent"] = time_visitors(url, pictures, visitors)
        result["memory"] = watch_memory(url, pictures, process.pid, requests)
    concurrent, memory = result["concurrent"], result["memory"]
    console.print(
        f"{visitors} verify requests at a time: {concurrent['errors']} errors, median {concurrent['median_s']:.2f} s, "
        f"95th percentile {concurrent['p95_s']:.2f} s"
    )
    console.print(
        f"{requests} verify requests: RSS {memory['first_quarter_mb']:.0f} MB in the first quarter, "
        f"{memory['last_quarter_mb']:.0f} MB in the last (medians)"
    )
    write_result(json, result)


@contextmanager
def served() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on a free port, from its very start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait(60)


def time_start() -> dict[str, float]:
    """Seconds of one start."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])
        page = browser.new_page()
        started = time.perf_counter()
        with served() as (url, process):
            while not answers(url):
                if process.poll() is not None:
                    raise RuntimeError("the server ended")
                time.sleep(0.02)
            navigated = time.perf_counter()
            page.goto(url, wait_until="commit", timeout=WAIT)
            page.get_by_role("tab", name="Verify").wait_for(timeout=WAIT)
            drawn = time.perf_counter()
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
            page.locator("#verdict").wait_for(timeout=WAIT)
            answered = time.perf_counter()
        browser.close()
    return {
        "process start to answering": navigated - started,
        "navigation to first paint": paint,
        "process start to first paint": navigated - started + paint,
        "navigation to tabs": drawn - navigated,
        "process start to verdict": answered - started,
    }


def answers(url: str) -> bool:
    """Whether the page can be had."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def verify(client: Any, pictures: list[Path]) -> float:
    """Seconds of one request with its uploads."""
    from gradio_client import handle_file

    started = time.perf_counter()
    pair = [handle_file(path) for path in pictures]
    answer = client.predict(*pair, "vis", "nir-sim", 0.001, api_name="/verify")
    assert answer["with_adapter"]["score"] is not None
    return time.perf_counter() - started


def time_visitors(url: str, pictures: list[Path], visitors: int) -> dict[str, float]:
    """That many clients, each of its own session, ask at the same time."""
    from gradio_client import Client

    while not answers(url):
        time.sleep(0.1)
    clients = [Client(url, verbose=False) for _ in range(visitors)]
    verify(clients[0], pictures)  # waits until the networks are loaded
    seconds, errors = [], 0
    with ThreadPoolExecutor(visitors) as pool:
        for future in [pool.submit(verify, client, pictures) for client in clients]:
            try:
                seconds.append(future.result())
            except Exception as error:  # counted, whatever it is
                console.print(f"error: {error}", markup=False)
                errors += 1
    p95 = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else sum(seconds)
    return {"visitors": visitors, "errors": errors, "median_s": statistics.median(seconds), "p95_s": p95}


def watch_memory(url: str, pictures: list[Path], pid: int, requests: int) -> dict[str, float]:
    """Resident memory of the server after each of many requests."""
    import psutil
    from gradio_client import Client

    client, process = Client(url, verbose=False), psutil.Process(pid)
    sizes = []
    for _ in range(requests):
        verify(client, pictures)
        sizes.append(process.memory_info().rss / 1e6)
    quarter = requests // 4
    return {
        "requests": requests,
        "first_quarter_mb": statistics.median(sizes[:quarter]),
        "last_quarter_mb": statistics.median(sizes[-quarter:]),
    }
