"""Checkpoints fetched from the Hub: verified, named with their commit, under the licence of their card."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hf_crossspec import EdgeFaceModel
from tests.conftest import tiny_config
from tests.hub.conftest import refuse, succeed
from tests.local_hub.fixture import LocalHub

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(local_hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> LocalHub:
    """`org/EdgeFace`, laid out as the authors of EdgeFace do it: one pickled state dict and a card."""
    home = tmp_path_factory.mktemp("authors")
    torch.manual_seed(0)
    network = EdgeFaceModel(tiny_config()).net
    torch.save({f"model.{key}": value for key, value in network.state_dict().items()}, home / "edgeface.pt")
    code = """
    from huggingface_hub import HfApi
    card = b"---\\nlicense: cc-by-nc-sa-4.0\\n---\\n# EdgeFace\\n"
    for name in ("org/EdgeFace", "org/EdgeFaces"):
        HfApi().create_repo(name)
        HfApi().upload_file(repo_id=name, path_in_repo="README.md", path_or_fileobj=card)
        HfApi().upload_file(repo_id=name, path_in_repo="edgeface.pt", path_or_fileobj="edgeface.pt")
    HfApi().upload_file(repo_id="org/EdgeFaces", path_in_repo="other.pt", path_or_fileobj="edgeface.pt")
    """
    succeed(local_hub.run(code, home))
    return local_hub


def test_converted_with_commit_hash_and_licence(repository: LocalHub, tmp_path: Path) -> None:
    told = succeed(repository.command("convert", "hf://org/EdgeFace/edgeface.pt", "model", home=tmp_path))
    commit = repository.revisions("model", "org/EdgeFace")[-1]
    assert "licence of the weights: cc-by-nc-sa-4.0" in told
    config = (tmp_path / "model" / "config.json").read_text()
    assert f"hf://org/EdgeFace@{commit}/edgeface.pt (sha256 " in config


def test_addresses_and_damage(repository: LocalHub, tmp_path: Path) -> None:
    refuse(
        repository.command("convert", "hf://org/EdgeFace@main", "pinned", "--sha256", "00", home=tmp_path),
        "another file than you want",
    )
    code = """
    from hf_crossspec import InputError
    from hf_crossspec.hub.checkpoint import fetch_checkpoint
    from hf_crossspec.hub.client import HubClient
    client = HubClient()
    fetched = fetch_checkpoint("hf://org/EdgeFace", client)  # its only checkpoint
    assert fetched.licence == "cc-by-nc-sa-4.0" and fetched.path.name == "edgeface.pt"
    content = fetched.path.read_bytes()
    fetched.path.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # damaged in the cache
    for uri in (
        "hf://org/EdgeFace", "hf://org/EdgeFaces", "hf://org/EdgeFace/none.pt", "hf://org/EdgeFace/../../etc/passwd",
        "hf://nothing", "hf://org/nowhere/x.pt",
    ):
        try:
            fetch_checkpoint(uri, client)
        except InputError as error:
            print(" ".join(str(error).split()))
        else:
            raise SystemExit(uri)
    """
    damaged, several, absent, climbing, malformed, nowhere = succeed(repository.run(code, tmp_path)).splitlines()
    assert "arrived damaged" in damaged
    assert "has 2 checkpoints: name one, edgeface.pt, other.pt" in several
    assert "has no file none.pt; it has" in absent
    assert "has no file ../../etc/passwd" in climbing
    assert "hf://owner/name/file" in malformed
    assert "org/nowhere is not on the Hub" in nowhere
