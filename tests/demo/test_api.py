"""The endpoints, by Gradio's client and by curl, and what is left of a call."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.conftest import REPOSITORY
from tests.demo.conftest import Server, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return Client(server.url, verbose=False)


def test_only_the_three_endpoints_are_offered(client: Client) -> None:
    offered: Any = client.view_api(return_format="dict", print_info=False)
    assert set(offered["named_endpoints"]) == {"/verify", "/identify", "/embed"}
    assert not offered["unnamed_endpoints"]


def test_verify(client: Client, faces: dict[str, Path]) -> None:
    pair = [handle_file(faces[name]) for name in ("same_vis", "same_nir")]
    answer = client.predict(*pair, "vis", "nir-sim", 0.001, api_name="/verify")
    before, after = answer["without_adapter"], answer["with_adapter"]
    assert (before["decision"], after["decision"]) == ("no match", "match")
    assert after["score"] > after["threshold"] > before["score"]
    assert after["fmr"] == 0.001
    low, high = after["threshold_interval"]
    assert low < after["threshold"] < high
    assert after["calibration"]["test"]["fmr"]["n"] == 79_600


def test_identify(client: Client, faces: dict[str, Path]) -> None:
    gallery = [handle_file(faces[name]) for name in ("same_vis", "other")]
    answer = client.predict(
        handle_file(faces["same_nir"]), gallery, "nir-sim", "vis", 0.01, 1, api_name="/identify"
    )  # fmt: skip
    after = answer["with_adapter"]
    assert [candidate["subject_id"] for candidate in after["candidates"]] == ["same_vis"]
    assert after["enrolled"] == 2
    assert after["decision"] == "match"


def test_embed_is_what_the_package_embeds(client: Client, faces: dict[str, Path]) -> None:
    from PIL import Image

    from hf_crossspec import FaceEmbedder
    from hf_crossspec.demo import DemoOptions

    answer = client.predict(handle_file(faces["other"]), "vis", api_name="/embed")
    model, adapter = DemoOptions().sources
    assert isinstance(adapter, str)
    embedder = FaceEmbedder.from_pretrained(model, adapter)
    with Image.open(faces["other"]) as picture:
        expected = embedder.embed_images([picture.convert("RGB")])[0]
    np.testing.assert_allclose(answer["embedding"], expected, atol=1e-5)
    assert answer["weights_sha256"] == embedder.describe()["weights_sha256"]


@pytest.mark.parametrize("name, words", [("not_a_picture", "not readable as a picture"), ("wall", "face")])
def test_bad_pictures_are_told(client: Client, faces: dict[str, Path], name: str, words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(faces[name]), "vis", api_name="/embed")


def test_files_of_the_server_are_out_of_reach(client: Client) -> None:
    stolen = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError) as caught:
        client.predict(stolen, "vis", api_name="/embed")
    assert "root" not in str(caught.value)


def test_the_curl_lines_of_the_readme(server: Server, faces: dict[str, Path]) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl")
    text = (REPOSITORY / "space" / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = lines.replace("http://127.0.0.1:7860/", server.url).replace("passport.png", str(faces["other"]))
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True, timeout=90)
    assert "event: complete" in done.stdout
    (answer,) = json.loads(done.stdout.split("data: ", 1)[1])
    assert len(answer["embedding"]) == 512


def test_uploads_are_deleted(client: Client, server: Server, faces: dict[str, Path]) -> None:
    client.predict(handle_file(faces["same_vis"]), "vis", api_name="/embed")
    folder = server.uploads()
    assert wait_until(lambda: not any(path.is_file() for path in folder.rglob("*")))
