"""The stand-in Hub against the real clients, each in a fresh process."""

from __future__ import annotations

import socket
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch

from hf_crossspec import EdgeFaceModel
from tests.conftest import tiny_config
from tests.local_hub.cards import check_card
from tests.local_hub.fixture import LocalHub
from tests.local_hub.server import Request

CARD = """---
license: cc-by-nc-sa-4.0
library_name: peft
base_model: org/base
datasets: [org/pairs]
tags: [face-recognition]
evaluated: 2026-01-31
model-index:
- name: adapter
  results:
  - task: {type: image-feature-extraction}
    dataset: {type: org/pairs, name: Pairs}
    metrics: [{type: rank-1, value: 97.6}]
---
# An adapter
"""
WEIGHTS = bytes(range(256)) * 48_000  # the client writes and resumes downloads in pieces of 10 MiB
PRELUDE = f"""
from pathlib import Path
from huggingface_hub import *
from huggingface_hub.errors import *

folder = Path("folder")
(folder / "sub").mkdir(parents=True, exist_ok=True)
(folder / "README.md").write_text({CARD!r})
(folder / "sub" / "w.safetensors").write_bytes(bytes(range(256)) * 48_000)
(folder / "more.safetensors").write_bytes(b"more")

def raised(kind, function, *args, **options):
    try:
        function(*args, **options)
    except kind as error:
        return error
    raise AssertionError(f"{{kind.__name__}} was not raised")
"""


def succeed(hub: LocalHub, code: str, home: Path, **options: Any) -> list[Request]:
    """Run code that must not fail, and return its requests: the stand-in has an endpoint for every one."""
    before = len(hub.requests)
    process = hub.run(PRELUDE + dedent(code), home, **options)
    assert process.returncode == 0, process.stderr
    requests = hub.requests[before:]
    assert not [request for request in requests if request.status == 501]
    return requests


def test_a_folder_is_uploaded_and_downloaded_at_every_revision(local_hub: LocalHub, tmp_path: Path) -> None:
    code = """
    assert whoami()["name"] == "tester"
    assert create_repo("org/round").repo_id == "org/round"
    create_repo("org/round", exist_ok=True)
    create_repo("org/round", repo_type="dataset")
    first = upload_folder(repo_id="org/round", folder_path=folder)
    assert upload_folder(repo_id="org/round", folder_path=folder).oid == first.oid, "nothing changed"
    create_tag("org/round", tag="v1")
    create_branch("org/round", branch="draft")
    pull = upload_file(repo_id="org/round", path_or_fileobj=b"new", path_in_repo="new.txt", create_pr=True)
    assert pull.pr_revision == "refs/pr/1"
    second = delete_file("README.md", "org/round", revision="draft", parent_commit=first.oid)
    stale = raised(HfHubHTTPError, delete_folder, "sub", "org/round", revision="draft", parent_commit=first.oid)
    assert stale.__cause__.response.status_code == stale.response.status_code == 412

    info = model_info("org/round", files_metadata=True)
    assert (info.sha, info.private, info.gated, info.library_name) == (first.oid, False, False, "peft")
    assert info.card_data.eval_results[0].metric_value == 97.6 and "license:cc-by-nc-sa-4.0" in info.tags
    large = {file.rfilename: file for file in info.siblings}["sub/w.safetensors"]
    assert large.size == large.lfs.size == 12_288_000
    api = HfApi()
    top = [entry.path for entry in api.list_repo_tree("org/round")]
    assert top == [".gitattributes", "README.md", "more.safetensors", "sub"]
    found = api.get_paths_info("org/round", ["sub/w.safetensors", "sub", "missing"])
    assert [entry.path for entry in found] == ["sub/w.safetensors", "sub"] and found[0].lfs.sha256 == large.lfs.sha256
    refs = api.list_repo_refs("org/round", include_pull_requests=True)
    named = {ref.ref: ref.target_commit for ref in refs.branches + refs.tags + refs.pull_requests}
    assert named["refs/heads/draft"] == second.oid and named["refs/tags/v1"] == first.oid and "refs/pr/1" in named
    assert [commit.commit_id for commit in list_repo_commits("org/round")][0] == first.oid
    assert Path(snapshot_download("org/round", revision="refs/pr/1"), "new.txt").read_bytes() == b"new"
    assert not Path(snapshot_download("org/round", revision="draft"), "README.md").exists()
    whole = Path(snapshot_download("org/round"))
    assert (whole / "sub" / "w.safetensors").read_bytes() == (folder / "sub" / "w.safetensors").read_bytes()
    assert list_repo_files("org/round", repo_type="dataset") == [".gitattributes"], "another name space"
    """
    succeed(local_hub, code, tmp_path)
    assert len(local_hub.revisions("model", "org/round")) == 4
    main, pull = (local_hub.repo_files("model", "org/round", revision) for revision in ("v1", "refs/pr/1"))
    assert main["sub/w.safetensors"] == WEIGHTS and main["README.md"] == CARD.encode()
    assert pull == {**main, "new.txt": b"new"}
    assert len(local_hub.revisions("dataset", "org/round")) == 1

    offline = """
    assert open(hf_hub_download("org/round", "README.md")).read().startswith("---")
    assert snapshot_download("org/round")
    """
    assert succeed(local_hub, offline, tmp_path, offline=True) == []


def test_tokens_and_missing_things_are_answered_as_by_the_hub(local_hub: LocalHub, tmp_path: Path) -> None:
    code = """
    create_repo("org/secret", private=True)
    upload_folder(repo_id="org/secret", folder_path=folder)
    for token in (False, "hf_read", "hf_wrong"):
        error = raised(HfHubHTTPError, upload_folder, repo_id="org/secret", folder_path=folder, token=token)
        assert error.response.status_code == {False: 404, "hf_read": 403, "hf_wrong": 401}[token], error
        error = raised(HfHubHTTPError, create_repo, "org/another", token=token)
        assert error.response.status_code == {False: 401, "hf_read": 403, "hf_wrong": 401}[token], error
    assert raised(HfHubHTTPError, create_repo, "strangers/model").response.status_code == 403
    assert raised(HfHubHTTPError, create_repo, "org/secret").response.status_code == 409
    assert model_info("org/secret", token="hf_read").private
    raised(RepositoryNotFoundError, model_info, "org/secret", token=False)
    raised(RepositoryNotFoundError, hf_hub_download, "org/secret", "README.md", token=False)
    assert raised(HfHubHTTPError, model_info, "org/secret", token="hf_wrong").response.status_code == 401
    raised(RepositoryNotFoundError, model_info, "org/missing")
    raised(RevisionNotFoundError, model_info, "org/secret", revision="missing")
    raised(EntryNotFoundError, hf_hub_download, "org/secret", "missing.txt")
    assert "größe" in str(raised(RevisionNotFoundError, model_info, "org/secret", revision="größe"))
    raised(EntryNotFoundError, delete_file, "missing.txt", "org/secret")
    update_repo_settings("org/secret", private=False, gated="auto")
    assert model_info("org/secret", token=False).gated == "auto"
    raised(GatedRepoError, hf_hub_download, "org/secret", "README.md", token=False)
    create_repo("tester/gone", repo_type="space", space_sdk="gradio")
    delete_repo("tester/gone", repo_type="space")
    raised(RepositoryNotFoundError, space_info, "tester/gone")
    """
    succeed(local_hub, code, tmp_path)
    anonymous = "assert model_info('org/secret').sha and not get_token()"
    succeed(local_hub, anonymous, tmp_path, token=None)


def test_faults_are_retried_or_raised_and_leave_no_half_revision(local_hub: LocalHub, tmp_path: Path) -> None:
    local_hub.fail("PUT", "/lfs/models/org/faulty/", status=403, times=1)
    one_of_two_large_files_fails = """
    create_repo("org/faulty")
    raised(RuntimeError, upload_folder, repo_id="org/faulty", folder_path=folder)
    """
    succeed(local_hub, one_of_two_large_files_fails, tmp_path)
    assert len(local_hub.revisions("model", "org/faulty")) == 1

    local_hub.fail("POST", "/models/org/faulty/preupload/", times=1)
    local_hub.drop("/lfs/models/org/faulty/")
    local_hub.fail("POST", "/models/org/faulty/commit/", status=500, times=1)
    local_hub.truncate("/org/faulty/resolve/", after_bytes=11_000_000)
    retried = """
    error = raised(HfHubHTTPError, upload_folder, repo_id="org/faulty", folder_path=folder)
    assert error.response.status_code == 500, "a commit is not repeated, as it could have been made"
    assert len(list_repo_commits("org/faulty")) == 1
    upload_folder(repo_id="org/faulty", folder_path=folder)
    path = hf_hub_download("org/faulty", "sub/w.safetensors")
    assert Path(path).read_bytes() == (folder / "sub" / "w.safetensors").read_bytes()
    """
    requests = succeed(local_hub, retried, tmp_path)
    assert [r.status for r in requests if "/preupload/" in r.path] == [503, 200, 200]
    assert [r.status for r in requests if r.path.startswith("/lfs/")] == [0, 200], "the other file was there already"
    assert [r.status for r in requests if "/commit/" in r.path] == [500, 200]
    assert [r.status for r in requests if r.method == "GET" and "/resolve/" in r.path] == [200, 206]
    assert len(local_hub.revisions("model", "org/faulty")) == 2


def test_a_client_that_goes_away_within_its_commit_leaves_no_revision(local_hub: LocalHub, tmp_path: Path) -> None:
    succeed(local_hub, "create_repo('org/torn')", tmp_path)
    address = urlsplit(local_hub.url)
    head = "POST /api/models/org/torn/commit/main HTTP/1.1\r\nAuthorization: Bearer hf_write\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            head.encode() + b'Content-Length: 500\r\n\r\n{"key": "header", "value": {"summary": "half"}}\n'
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert len(local_hub.revisions("model", "org/torn")) == 1


def test_parallel_commits_follow_one_another(local_hub: LocalHub, tmp_path: Path) -> None:
    code = """
    from concurrent.futures import ThreadPoolExecutor

    create_repo("org/busy")
    def upload(number):
        return upload_file(repo_id="org/busy", path_or_fileobj=b"%d" % number, path_in_repo=f"{number}.txt").oid
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(upload, range(16)))
    assert made < {commit.commit_id for commit in list_repo_commits("org/busy")}
    """
    succeed(local_hub, code, tmp_path)
    assert len(local_hub.revisions("model", "org/busy")) == 17
    assert len(local_hub.repo_files("model", "org/busy")) == 17


WRONG_CARDS = [
    ("license: cc-by-nc-sa-4.0", "license: my-own", '"license" must be one of'),
    ("base_model: org/base", "base_model: /models/base", '"base_model[0]" with value "/models/base" is not valid'),
    ("[org/pairs]", "[a/b/c]", '"datasets[0]" with value "a/b/c" is not valid'),
    ("[face-recognition]", "{a: 1}", '"tags" must be an array of strings'),
    ("library_name: peft", "library_name: [peft]", '"library_name" must be a string'),
    (", name: Pairs", "", '"model-index[0].results[0].dataset.name" is required'),
    (", value: 97.6", "", '"model-index[0].results[0].metrics[0].value" is required'),
    ("- name: adapter\n  results:", "- results:", '"model-index[0].name" is required'),
    ("tags: [", "tags: [[", "Invalid YAML"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), WRONG_CARDS)
def test_a_wrong_card_is_refused(right: str, wrong: str, message: str) -> None:
    assert check_card(CARD, "model") == ([], [])
    assert right in CARD
    errors, _ = check_card(CARD.replace(right, wrong), "model")
    assert len(errors) == 1 and errors[0].startswith(message)


def test_a_space_card_is_checked(local_hub: LocalHub) -> None:
    card = "---\ntitle: Demo\nsdk: gradio\ncolorFrom: blue\nshort_description: Faces across spectra\n---\n"
    assert check_card(card, "space") == ([], [])
    assert len(check_card(card.replace("gradio", "grad").replace("spectra", "spectra" * 9), "space")[0]) == 2
    assert check_card("# no metadata", "space") == ([], ["empty or missing yaml metadata in repo card"])


def test_the_clients_report_a_wrong_card(local_hub: LocalHub, tmp_path: Path) -> None:
    code = """
    card = ModelCard((folder / "README.md").read_text())
    card.validate()
    card.data.license = "my-own"
    assert '- Error: "license" must be one of' in str(raised(ValueError, card.validate))
    create_repo("org/card")
    raised(ValueError, card.push_to_hub, "org/card")
    wrong = CommitOperationAdd("README.md", str(card).encode())
    error = raised(ValueError, create_commit, "org/card", [wrong], commit_message="wrong")
    assert '- "license" must be one of' in str(error)
    """
    succeed(local_hub, code, tmp_path)
    assert "README.md" not in local_hub.repo_files("model", "org/card")


@pytest.mark.slow
def test_datasets_go_up_and_come_back(local_hub: LocalHub, tmp_path: Path) -> None:
    code = """
    import numpy
    import PIL.Image
    from datasets import Dataset, DatasetDict, Features, Image, Value, load_dataset

    def faces(count):
        pictures = [PIL.Image.fromarray(numpy.full((8, 8, 3), 9 * number, "uint8")) for number in range(count)]
        rows = [{"vis": picture, "subject_id": str(number)} for number, picture in enumerate(pictures)]
        return Dataset.from_list(rows, features=Features({"vis": Image(), "subject_id": Value("string")}))

    made = DatasetDict(train=faces(3), test=faces(2))
    first = made.push_to_hub("org/faces")
    made.push_to_hub("org/faces", private=True)
    back = load_dataset("org/faces")
    assert back["train"].features == made["train"].features and back.num_rows == {"train": 3, "test": 2}
    assert back["train"][2]["vis"].getpixel((0, 0)) == (18, 18, 18)
    streamed = list(load_dataset("org/faces", split="test", streaming=True, revision=first.oid))
    assert [row["subject_id"] for row in streamed] == ["0", "1"] and streamed[1]["vis"].size == (8, 8)
    """
    succeed(local_hub, code, tmp_path)
    stored = local_hub.repo_files("dataset", "org/faces")
    assert {path for path in stored if path.endswith(".parquet")} == {
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
    }
    succeed(local_hub, "from datasets import *; load_dataset('org/faces')", tmp_path, offline=True)


@pytest.mark.slow
def test_a_model_with_code_is_loaded_without_the_package(local_hub: LocalHub, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = EdgeFaceModel(tiny_config()).eval()
    model.save_pretrained(tmp_path / "model")
    pixels = torch.linspace(-1, 1, 3 * 112 * 112).reshape(1, 3, 112, 112)
    with torch.no_grad():
        torch.save((pixels, model(pixels).embeddings), tmp_path / "expected.pt")
    code = """
    import torch
    create_repo("org/edgeface")
    upload_folder(repo_id="org/edgeface", folder_path="model")
    from transformers import AutoModel
    model = AutoModel.from_pretrained("org/edgeface", trust_remote_code=True).eval()
    assert type(model).__module__.startswith("transformers_modules.")
    pixels, expected = torch.load("expected.pt")
    with torch.no_grad():
        assert torch.allclose(model(pixels).embeddings, expected, atol=1e-5)
    """
    succeed(local_hub, code, tmp_path, blocked=("hf_crossspec",))


@pytest.mark.slow
def test_a_metric_is_loaded_from_a_space(local_hub: LocalHub, tmp_path: Path) -> None:
    script = """
import datasets
import evaluate


class Agreement(evaluate.Metric):
    def _info(self):
        text = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description="", citation="", features=text)

    def _compute(self, predictions, references):
        return {"agreement": sum(map(str.__eq__, predictions, references)) / len(references)}
"""
    (tmp_path / "agreement.py").write_text(script)
    code = """
    create_repo("org/agreement", repo_type="space", space_sdk="gradio")
    upload_file(path_or_fileobj="agreement.py", path_in_repo="agreement.py", repo_id="org/agreement", repo_type="space")
    import evaluate
    metric = evaluate.load("org/agreement")
    assert metric.compute(predictions=["a", "b"], references=["a", "c"]) == {"agreement": 0.5}
    """
    succeed(local_hub, code, tmp_path)


def test_the_command_line_runs_as_a_client(local_hub: LocalHub, tmp_path: Path) -> None:
    assert local_hub.command("--help", home=tmp_path).returncode == 0
    assert local_hub.command("train", "--no-such-option", home=tmp_path, token=None).returncode == 2
