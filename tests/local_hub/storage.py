"""Repositories of the stand-in Hub on disk: contents under their hash, commits under theirs, and refs to commits.

A commit is checked as a whole before anything is written, and exists from when `state.json` names it: one that fails
leaves no revision behind.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.local_hub.cards import check_card

LFS_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".png", ".jpg", ".npy")
LARGEST_REGULAR_FILE = 10_000_000
HEADS, TAGS, PULLS = "refs/heads/", "refs/tags/", "refs/pr/"
File = dict[str, Any]  # oid: hash of the git blob, size in bytes, and sha256 of a large file


class HubError(Exception):
    """An answer other than success, with the code that the clients turn into an exception."""

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.commit = status, message, code, commit


def is_large(path: str, size: int) -> bool:
    """Whether a file is stored by git LFS."""
    return path.endswith(LFS_SUFFIXES) or size > LARGEST_REGULAR_FILE


def lfs_pointer(sha256: str, size: int) -> bytes:
    """What git stores in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write(path: Path, data: bytes) -> None:
    """Write a file as a whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


class Repository:
    """One repository. The caller holds the Hub's lock."""

    def __init__(self, hub_folder: Path, kind: str, repo_id: str) -> None:
        self.folder, self.kind, self.id = hub_folder / f"{kind}s" / repo_id, kind, repo_id

    def exists(self) -> bool:
        return (self.folder / "state.json").is_file()

    def create(self, private: bool) -> None:
        for name in ("objects", "commits"):
            (self.folder / name).mkdir(parents=True)
        self._save({"private": private, "gated": False, "created": now(), "commits": [], "refs": {}})
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        self._write_commit(HEADS + "main", None, {}, {".gitattributes": attributes.encode()}, "initial commit", "")

    def delete(self) -> None:
        shutil.rmtree(self.folder)

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_bytes())

    def update(self, **changes: Any) -> None:
        self._save(self.state | changes)

    def _save(self, state: dict[str, Any]) -> None:
        write(self.folder / "state.json", json.dumps(state).encode())

    def add_ref(self, ref: str, revision: str) -> None:
        if ref in self.state["refs"]:
            raise HubError(409, f"Reference already exists: {ref}")
        self.update(refs={**self.state["refs"], ref: self.resolve(revision)})

    def find_ref(self, name: str) -> str | None:
        """Full name of the branch, tag or pull request of this name."""
        return next((ref for ref in (HEADS + name, TAGS + name, name) if ref in self.state["refs"]), None)

    def resolve(self, revision: str) -> str:
        """Commit of a branch, tag, pull request or commit."""
        commit = self.state["refs"].get(self.find_ref(revision) or "", revision)
        if commit not in self.state["commits"]:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def commit(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / "commits" / name).read_bytes())

    def history(self, name: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        """A commit and its ancestors, newest first."""
        while name is not None:
            commit = self.commit(name)
            yield name, commit
            name = commit["parent"]

    def files(self, commit: str) -> dict[str, File]:
        return self.commit(commit)["files"]

    def object(self, oid: str) -> Path:
        """Where a content lies: under its SHA-256 if large, under the hash of its git blob if regular."""
        return self.folder / "objects" / oid

    def read(self, file: File) -> bytes:
        return self.object(file.get("sha256") or file["oid"]).read_bytes()

    def apply(self, revision: str, lines: list[dict[str, Any]], create_pr: bool) -> tuple[str, str]:
        """Commit the operations of the Hub's ndjson form; returns the commit and the full name of its ref.

        Raises `HubError`, having written nothing, where the parent is not the branch's head, a deleted path is not
        there, a large file was not uploaded before, or the card is invalid.
        """
        head, ref, header = self.resolve(revision), self.find_ref(revision), lines[0]["value"]
        if ref is None or ref.startswith(TAGS):
            raise HubError(400, f"Cannot commit to {revision}: it is not a branch")
        if header.get("parentCommit", head) != head:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = self.files(head)
        regular: dict[str, bytes] = {}
        for line in lines[1:]:
            key, value, path = line["key"], line["value"], line["value"]["path"].rstrip("/")
            regular.pop(path, None)
            if key == "file":
                regular[path] = self._regular_file(path, base64.b64decode(value["content"]))
            elif key == "lfsFile":
                files[path] = self._large_file(path, value["oid"])
            elif key in ("deletedFile", "deletedFolder"):
                gone = {file for file in files if file == path or file.startswith(f"{path}/")}
                if not gone or (key == "deletedFile" and path not in gone):
                    raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
                files = {path: file for path, file in files.items() if path not in gone}
            else:
                raise HubError(400, f"Unknown operation {key!r}")
        if create_pr:
            ref = f"{PULLS}{1 + sum(ref.startswith(PULLS) for ref in self.state['refs'])}"
        return self._write_commit(ref, head, files, regular, header["summary"], header.get("description", "")), ref

    def _regular_file(self, path: str, data: bytes) -> bytes:
        if errors := check_card(data.decode(), self.kind)[0] if path == "README.md" else []:
            raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
        return data

    def _large_file(self, path: str, sha256: str) -> File:
        if not re.fullmatch("[0-9a-f]{64}", sha256) or not self.object(sha256).is_file():
            raise HubError(400, f"{path}: the LFS pointer points to a file that does not exist")
        size = self.object(sha256).stat().st_size
        return {"oid": git_hash(lfs_pointer(sha256, size)), "size": size, "sha256": sha256}

    def _write_commit(
        self, ref: str, parent: str | None, files: dict[str, File], regular: dict[str, bytes], title: str, message: str
    ) -> str:
        for path, data in regular.items():
            write(self.object(git_hash(data)), data)
            files[path] = {"oid": git_hash(data), "size": len(data)}
        commit = {"parent": parent, "files": files, "title": title, "message": message, "date": now()}
        data = json.dumps(commit, sort_keys=True).encode()
        name = hashlib.sha1(data).hexdigest()
        write(self.folder / "commits" / name, data)
        state = self.state
        self.update(refs={**state["refs"], ref: name}, commits=[*state["commits"], name])
        return name
