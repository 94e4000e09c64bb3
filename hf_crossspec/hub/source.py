"""Names of things that may lie in a folder or on the Hub: `path`, `owner/name` or `owner/name@revision`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hf_crossspec.errors import InputError, one_line

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def split_revision(source: str | Path) -> tuple[str, str | None]:
    """`owner/name@revision` -> name and revision; a path that exists is left as it is."""
    text = str(source)
    if "@" in text and not Path(text).exists():
        name, _, revision = text.rpartition("@")
        return name, revision
    return text, None


def is_repo_id(source: str | Path) -> bool:
    """Whether this is a Hub id (`owner/name`, perhaps with a revision) and not a path that exists."""
    name, _ = split_revision(source)
    return not Path(name).exists() and REPO_ID.fullmatch(name) is not None


def adapter_folder(adapter: str | Path) -> Path:
    """The local folder of an adapter, fetched from the Hub when `adapter` is a Hub id.

    Only the configuration and the safetensors file are fetched, so an adapter brings no code and no pickle.

    Raises:
        InputError: nothing there, or not an adapter stored as safetensors.
    """
    if not is_repo_id(adapter):
        folder = Path(adapter)
        missing = [name for name in ADAPTER_FILES if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{adapter} is not an adapter folder: it has no {missing[0]}")
        return folder
    return fetch_files(adapter, ADAPTER_FILES)


def fetch_files(source: str | Path, names: Sequence[str]) -> Path:
    """The folder of a Hub model's files of these names, all of one revision, from the cache where they are there.

    Raises:
        InputError: no such repository, revision or file, no access, or no connection.
    """
    from httpx2 import TransportError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = split_revision(source)
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(names)))
    except LocalEntryNotFoundError as error:
        raise InputError(f"{source} is not in the cache, and the Hub cannot be reached") from error
    except (OSError, TransportError, HFValidationError, ValueError) as error:
        raise InputError(f"{source} cannot be had from the Hub: {one_line(error)}") from error
    missing = [file for file in names if not (folder / file).is_file()]
    if missing:
        raise InputError(f"{source} has no {missing[0]}")
    return folder
