"""Publishing over HTTP: exactly the files meant, one commit or none, and one clear line where something forbids it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from hf_crossspec import EdgeFaceModel, InputError
from hf_crossspec.hub.push import Destination
from hf_crossspec.hub.stage import _refuse_other_embeddings
from tests.conftest import tiny_config, write_sketch_pictures
from tests.hub.conftest import refuse, succeed
from tests.local_hub.fixture import LocalHub

pytestmark = pytest.mark.slow

CODE = {"configuration_edgeface.py", "modeling_edgeface.py", "image_processing_edgeface.py", "pipeline_edgeface.py"}
MODEL = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", *CODE}


def test_exactly_the_files_meant(published: LocalHub, tiny_base: Path, run: Path) -> None:
    git = {".gitattributes"}
    assert published.repo_files("model", "org/tiny").keys() - git == MODEL
    assert published.repo_files("model", "org/edgeface-hfr").keys() - git == MODEL | {"calibration.json"}
    adapter = published.repo_files("model", "org/tiny-nir")
    assert adapter.keys() - git == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "calibration.json",
    }  # fmt: skip
    assert adapter["adapter_model.safetensors"] == (run / "adapter_model.safetensors").read_bytes()
    config = json.loads(adapter["adapter_config.json"])
    assert config["base_model_name_or_path"] == "org/tiny"
    assert config["revision"] == published.revisions("model", "org/tiny")[-1]
    for repo_id in ("org/tiny", "org/tiny-nir", "org/edgeface-hfr"):
        for name, content in published.repo_files("model", repo_id).items():
            for private in (str(tiny_base.parent), str(run.parent)):
                assert private.encode() not in content, (repo_id, name)


def test_a_dry_run_lists_and_leaves(published: LocalHub, run: Path, tmp_path: Path) -> None:
    told = succeed(
        published.command(
            "push", "adapter", run, "--base", "org/tiny", "--repo-id", "org/never", "--dry-run", home=tmp_path
        )
    )
    for text in ("adapter_model.safetensors", "adapter_config.json", "base_model: org/tiny", "nothing was published"):
        assert text in told
    assert not any("never" in request.path and request.method != "GET" for request in published.requests)


def test_branches_and_pull_requests(published: LocalHub, run: Path, tmp_path: Path) -> None:
    code = f"""
    from hf_crossspec.hub.push import Destination, push_adapter
    from hf_crossspec.hub.stage import Statement
    run = {str(run)!r}
    push_adapter(run, Destination("org/branched", private=True), base="org/tiny")
    push_adapter(run, Destination("org/branched", revision="v2"), base="org/tiny@main")
    changed = Statement(data="Other words for the card.")
    print(push_adapter(run, Destination("org/branched", create_pr=True), "org/tiny", changed).url)
    assert "/commit/" in push_adapter(run, Destination("org/branched", create_pr=True), "org/tiny").url
    from huggingface_hub import HfApi
    assert HfApi().model_info("org/branched").private
    """
    assert "/discussions/1" in succeed(published.run(code, tmp_path))
    assert "adapter_config.json" in published.repo_files("model", "org/branched", "v2")
    assert "adapter_config.json" in published.repo_files("model", "org/branched", "refs/pr/1")


def test_an_interrupted_upload_leaves_no_half_revision(published: LocalHub, tiny_base: Path, tmp_path: Path) -> None:
    """The connection breaks while files are sent, then while they are committed; then the Hub is busy and recovers."""
    arguments = ("push", "base", tiny_base, "--repo-id", "org/interrupted", "--license", "mit")
    for fault in (r"/lfs/.*|objects/[0-9a-f]{64}", r"org/interrupted/commit"):
        published.drop(fault, times=20, method="PUT|POST")
        try:
            refuse(published.command(*arguments, home=tmp_path), "Hub")
        finally:
            published.reset_faults()
        assert "model.safetensors" not in published.repo_files("model", "org/interrupted")
        assert len(published.revisions("model", "org/interrupted")) == 1
    published.fail("POST", r"org/interrupted/preupload", status=503, times=1)
    succeed(published.command(*arguments, home=tmp_path))
    assert published.repo_files("model", "org/interrupted").keys() >= MODEL
    assert len(published.revisions("model", "org/interrupted")) == 2


def test_the_hubs_refusals_are_one_line(published: LocalHub, run: Path, tiny_base: Path, tmp_path: Path) -> None:
    published.fail("GET", "api/models/org/failing", status=500, times=20)
    code = f"""
    import os
    from hf_crossspec import InputError
    from hf_crossspec.hub.push import Destination, push_adapter, push_base
    from hf_crossspec.hub.stage import Statement
    to, mit = Destination("org/denied"), Statement(licence="mit")
    for token, attempt in (
        ("hf_wrong", lambda: push_base({str(tiny_base)!r}, to, mit)),
        ("hf_read", lambda: push_base({str(tiny_base)!r}, to, mit)),
        ("hf_write", lambda: push_adapter({str(run)!r}, to, "org/nowhere")),
        ("hf_write", lambda: push_adapter({str(run)!r}, to)),
        ("hf_write", lambda: push_adapter({str(run)!r}, to, "org/failing")),
    ):
        os.environ["HF_TOKEN"] = token
        try:
            attempt()
        except InputError as error:
            print(" ".join(str(error).split()))
    """
    try:
        told = succeed(published.run(code, tmp_path)).splitlines()
    finally:
        published.reset_faults()
    assert "hf auth login" in told[0]
    assert "hf auth login" in told[1]
    assert "org/nowhere is not on the Hub" in told[2]
    assert "publish it with `crossspec push base`" in told[3]
    assert "500" in told[4]
    assert len(told) == 5
    denied = published.command("push", "base", tiny_base, "--repo-id", "org/x", home=tmp_path, token="hf_read")
    refuse(denied, "the licence of the base's weights is not known")


def test_claims_are_checked(published: LocalHub, tiny_base: Path, run: Path, tmp_path: Path) -> None:
    """Licences, other bases, and reports of other weights, through the Python door in one process."""
    other = tmp_path / "other"
    torch.manual_seed(5)
    EdgeFaceModel(tiny_config()).save_pretrained(other)
    shutil.copy(tiny_base / "preprocessor_config.json", other)
    (tmp_path / "report.json").write_text(
        json.dumps({"metrics": {}, "counts": {}, "protocol": {}, "model": {"weights_sha256": "0"}})
    )
    code = f"""
    from hf_crossspec import InputError
    from hf_crossspec.hub.push import Destination, push_adapter, push_base, push_merged
    from hf_crossspec.hub.stage import Statement
    from huggingface_hub import metadata_update
    run, base, other = {str(run)!r}, {str(tiny_base)!r}, {str(other)!r}
    push_base(base, Destination("org/strict"), Statement(licence="cc-by-nc-sa-4.0"))
    push_base(other, Destination("org/other"), Statement(licence="mit"))
    push_base(base, Destination("org/contrary"), Statement(licence="mit"))
    metadata_update("org/contrary", {{"license": "apache-2.0"}}, overwrite=True)
    to = Destination("org/refused")
    for attempt in (
        lambda: push_base(base, to),
        lambda: push_adapter(run, to, "org/strict", Statement(licence="apache-2.0")),
        lambda: push_merged(run, to, "org/strict", Statement(licence="mit")),
        lambda: push_adapter(run, to, "org/other"),
        lambda: push_adapter(run, to, "org/contrary"),
        lambda: push_adapter(run, to, "org/tiny", Statement(reports=["report.json"])),
        lambda: push_adapter(base, to, "org/tiny"),
    ):
        try:
            attempt()
        except InputError as error:
            print(error)
    print(push_adapter(run, Destination("org/refused", dry_run=True), "org/strict").card)
    """
    told = succeed(published.run(code, tmp_path)).splitlines()
    for line, words in zip(
        told,
        (
            "the licence of the base's weights is not known",
            "the base is under cc-by-nc-sa-4.0, so what is made from it cannot be published under apache-2.0",
            "cannot be published under mit",
            "org/other has other weights than the base",
            "org/contrary says apache-2.0 in its card and mit in its config.json",
            "report.json reports on other weights",
            "is not an adapter folder",
        ),
        strict=False,
    ):
        assert words in line
    assert "license: cc-by-nc-sa-4.0" in told
    assert not any("org/refused" in request.path for request in published.requests)


def test_a_merged_model_that_differs_is_not_let_out(tiny_base: Path) -> None:
    pictures = torch.zeros(1, 3, 112, 112)
    with torch.no_grad():
        right = EdgeFaceModel.from_pretrained(tiny_base)(pixel_values=pictures).embeddings
    _refuse_other_embeddings(tiny_base, pictures, right)
    for wrong in (right + 1e-5, torch.full_like(right, torch.nan)):
        with pytest.raises(InputError, match="it is not published"):
            _refuse_other_embeddings(tiny_base, pictures, wrong)


@pytest.mark.parametrize("name", ["noowner", "../up", "a/b/c", "org/..", "org/x y", "", "org/"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InputError, match="not a repository name"):
        Destination(name)


def test_faces_need_consent_or_privacy(published: LocalHub, tmp_path: Path) -> None:
    write_sketch_pictures(tmp_path / "faces")
    arguments = ("push", "dataset", tmp_path / "faces", "--license", "cc-by-4.0", "--origin", "Drawn by us.")
    refuse(published.command(*arguments, "--repo-id", "org/sketches", home=tmp_path), "--i-have-consent-to-publish")
    assert not any("org/sketches" in request.path and request.method == "POST" for request in published.requests)
    code = """
    from hf_crossspec import InputError
    from hf_crossspec.hub.push import Destination, push_dataset
    from hf_crossspec.hub.stage_data import DataStatement
    silent, agreed = (DataStatement("cc-by-4.0", "Drawn by us.", consent) for consent in (False, True))
    push_dataset("faces", Destination("org/sketches", private=True), silent)
    print(push_dataset("faces", Destination("org/sketches-open"), agreed).card)
    for to, statement in (
        (Destination("org/sketches-open", private=True), silent),
        (Destination("org/unstated", private=True), DataStatement()),
        (Destination("org/unstated", private=True), DataStatement(licence="mit")),
    ):
        try:
            push_dataset("faces", to, statement)
        except InputError as error:
            print(error)
    """
    *card, visible, unlicensed, unstated = succeed(published.run(code, tmp_path)).splitlines()
    assert any("agreed to the publication" in line for line in card)
    assert "is public" in visible
    assert "--license" in unlicensed
    assert "--origin" in unstated
    code = """
    from datasets import load_dataset
    from hf_crossspec import load_faces
    faces = load_dataset("org/sketches-open")
    assert {name: len(split) for name, split in faces.items()} == {"train": 12, "test": 8}, faces
    row = faces["train"][0]
    assert row["image"].size == (200, 250) and row["modality"] in ("vis", "sketch")
    ours = load_faces("org/sketches@main", "test")
    assert len(ours) == 8 and ours[0]["image"]["path"] is None
    """
    succeed(published.run(code, tmp_path / "reader"))
    succeed(published.run(code, tmp_path / "reader", offline=True))


def test_synthetic_faces_may_be_public_and_spaces_are_filtered(published: LocalHub, tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "assets").mkdir(parents=True)
    (app / "app.py").write_text("print('hello')\n")
    (app / "README.md").write_text(
        "---\ntitle: Demo\nsdk: gradio\nsdk_version: 6.31.0\napp_file: app.py\n---\n# Demo\n"
    )
    for name in (".env", "secret.key", "assets/gallery.npy", "assets/picture.png"):
        (app / name).write_bytes(b"x")
    (tmp_path / "bare").mkdir()
    code = """
    from hf_crossspec import InputError
    from hf_crossspec.data.synthetic import write_spectralfaces
    from hf_crossspec.hub.push import Destination, push_dataset, push_space
    write_spectralfaces("faces", 2, 2, 1)
    push_dataset("faces", Destination("org/spectral"))
    push_space("app", Destination("org/demo"), "apache-2.0")
    from importlib.resources import files
    module = files("hf_crossspec") / "evaluation/face_verification"
    push_space(module, Destination("tester/face_verification"), "apache-2.0")
    import evaluate
    metric = evaluate.load("tester/face_verification")
    assert metric.compute(predictions=[0.9, 0.4, 0.5, 0.1], references=[1, 1, 0, 0])["eer"] == 0.5
    try:
        push_space("bare", Destination("org/bare"), "apache-2.0")
    except InputError as error:
        print(error)
    """
    assert "it has no app.py" in succeed(published.run(code, tmp_path))
    card = published.repo_files("dataset", "org/spectral")["README.md"].decode()
    assert "nobody is depicted" in card
    assert "license: apache-2.0" in card
    names = published.repo_files("space", "org/demo").keys() - {".gitattributes"}
    assert names == {"app.py", "README.md", "assets/picture.png"}
