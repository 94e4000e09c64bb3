"""Checkpoint files on the Hub, `hf://owner/name[@revision]/file`: fetched and verified, with their licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.utils.sha import git_hash

from hf_crossspec.errors import InputError
from hf_crossspec.files import sha256_of
from hf_crossspec.hub.client import HubClient, one_line_errors

URI = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?")
CHECKPOINTS = (".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class HubCheckpoint:
    """A checkpoint that was fetched: where it lies now, where it came from, its licence (`None`: not stated)."""

    path: Path
    source: str
    licence: str | None


def fetch_checkpoint(uri: str, client: HubClient) -> HubCheckpoint:
    """Fetch a checkpoint and compare its bytes with the hash that the Hub keeps of it.

    Args:
        uri: `hf://owner/name/file`, also with `@revision` after the name; the file's name may be left out where the
            repository has a single checkpoint.

    Raises:
        InputError: not such an address, nothing there, several checkpoints, or bytes that do not match their hash.
    """
    match = URI.fullmatch(uri)
    if match is None:
        raise InputError(f"{uri} is not of the form hf://owner/name/file or hf://owner/name@revision/file")
    name = match["repo"]
    with one_line_errors(name):
        info = client.api.model_info(name, revision=match["revision"], files_metadata=True)
        siblings = {entry.rfilename: entry for entry in info.siblings or []}
        file = match["file"] or _only_checkpoint(name, list(siblings))
        if file not in siblings:
            raise InputError(f"{name} has no file {file}; it has {', '.join(sorted(siblings))}")
        path = Path(hf_hub_download(name, file, revision=info.sha))
    entry = siblings[file]
    expected = entry.lfs.sha256 if entry.lfs else entry.blob_id
    found = sha256_of(path) if entry.lfs else git_hash(path.read_bytes())
    if found != expected:
        raise InputError(f"{uri} arrived damaged: its hash is {found}, the Hub's is {expected}; delete {path}")
    return HubCheckpoint(path, f"hf://{name}@{info.sha}/{file}", client.licence_of(name, str(info.sha)))


def _only_checkpoint(name: str, files: list[str]) -> str:
    found = sorted(file for file in files if file.endswith(CHECKPOINTS))
    if len(found) != 1:
        raise InputError(f"{name} has {len(found)} checkpoints: name one, {', '.join(found) or 'it has none'}")
    return found[0]
