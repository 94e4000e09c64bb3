"""One server for the module's tests, as a process of its own, and a browser."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hf_crossspec.demo.synthetic import Shot, render
from tests.conftest import REPOSITORY

pytest.importorskip("gradio", reason="the demo needs gradio")

WAIT = 90_000  # milliseconds; how long a condition may take on a busy machine
PROGRAM = "import typer; from hf_crossspec.cli.demo import demo; typer.run(demo)"


@dataclass(frozen=True)
class Server:
    """A demo under way; `scratch` is where it keeps its files."""

    url: str
    scratch: Path
    process: subprocess.Popen[str]

    def uploads(self) -> Path:
        """The folder of uploaded files, which only the server's user may read."""
        (folder,) = self.scratch.glob("crossspec-demo-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        return folder


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether a condition comes true in good time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded demo without any network, as `crossspec demo` serves it, on a free port."""
    scratch = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(scratch), "HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch / "hf")}
    data = Path(os.environ.get("CROSSSPEC_DATA", REPOSITORY.parent / "shared" / "data"))
    yunet = next(iter(data.glob("weights/face_detection_yunet*.onnx")), None)
    options = ["--port", str(port), "--keep-uploads", "3", *(() if yunet is None else ("--detector-path", str(yunet)))]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *options], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        assert wait_until(lambda: process.poll() is not None or _answers(url), 120)
        assert process.poll() is None, process.stdout and process.stdout.read()
        yield Server(url, scratch, process)
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[0]
    assert "Traceback" not in said, said
    assert process.returncode == 0
    assert not list(scratch.glob("crossspec-demo-*")), "the server leaves files behind"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Rendered pictures as files: person 171 in two modalities, person 44, and things that are no faces."""
    folder = tmp_path_factory.mktemp("faces")
    shots = {"same_vis": Shot(171, 0, "vis"), "same_nir": Shot(171, 1, "nir-sim"), "other": Shot(44, 0, "vis")}
    files = {name: folder / f"{name}.png" for name in (*shots, "wall", "not_a_picture")}
    for name, shot in shots.items():
        render(shot).save(files[name])
    Image.new("RGB", (300, 200), "grey").save(files["wall"])
    files["not_a_picture"].write_text("no picture at all")
    files["text"] = folder / "notes.txt"
    files["text"].write_text("nor this")
    return files
