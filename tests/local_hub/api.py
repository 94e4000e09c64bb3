"""What the Hub answers: one function per endpoint, in the forms that `huggingface_hub.HfApi` reads."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from tests.local_hub.cards import as_list, card_data, check_card
from tests.local_hub.storage import HEADS, PULLS, TAGS, File, HubError, Repository, is_large, lfs_pointer, write

if TYPE_CHECKING:
    from tests.local_hub.server import Hub

USER, ORGANIZATION = "tester", "org"
ROLES = {"hf_write": "write", "hf_read": "read"}  # both are tokens of the user, who is a member of the organization


class Reply(NamedTuple):
    """An answer. A body that is not bytes is sent as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012


@dataclass
class Call:
    """A request: the role of its token, the unquoted named parts of its path, its query, headers and body."""

    hub: Hub
    role: str | None
    parts: dict[str, str]
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def repository(self, writing: bool = False) -> Repository:
        """The repository of the path, if the token may read it, or write to it. A private one seems to be missing."""
        repo = Repository(self.hub.folder, (self.parts.get("kind") or "models").removesuffix("s"), self.parts["id"])
        if not repo.exists() or (repo.state["private"] and self.role is None):
            raise HubError(404, "Repository not found", "RepoNotFound")
        if writing:
            self.require_writer(repo.id)
        return repo

    def named_repository(self) -> Repository:
        """The repository that the body names, if the token may create or delete it."""
        repo_id = f"{self.json.get('organization') or USER}/{self.json['name']}"
        self.require_writer(repo_id)
        return Repository(self.hub.folder, self.json.get("type") or "model", repo_id)

    def require_writer(self, repo_id: str) -> None:
        if self.role is None:
            raise HubError(401, "Invalid username or password.")
        if self.role != "write" or repo_id.split("/")[0] not in (USER, ORGANIZATION):
            raise HubError(403, f"This token does not have the right to write to {repo_id}")

    def address(self, repo: Repository) -> str:
        return f"{self.hub.url}/{'' if repo.kind == 'model' else repo.kind + 's/'}{repo.id}"


def role_of(authorization: str | None) -> str | None:
    """What the token of an Authorization header allows, None without one."""
    if authorization is None:
        return None
    if authorization.removeprefix("Bearer ") not in ROLES:
        raise HubError(401, "Invalid credentials in Authorization header")
    return ROLES[authorization.removeprefix("Bearer ")]


def whoami(call: Call) -> Reply:
    if call.role is None:
        raise HubError(401, "Invalid username or password.")
    organization = {"type": "org", "name": ORGANIZATION, "fullname": ORGANIZATION, "roleInOrg": "admin"}
    token = {"type": "access_token", "accessToken": {"displayName": "tests", "role": call.role}}
    return Reply({"type": "user", "name": USER, "fullname": USER, "orgs": [organization], "auth": token})


def agent_harnesses(call: Call) -> Reply:
    return Reply({"standardEnvVars": [], "harnesses": {}})


def validate_yaml(call: Call) -> Reply:
    errors, warnings = check_card(call.json["content"], call.json.get("repoType") or "model")
    if errors and call.headers["Accept"] == "text/plain":
        return Reply("\n".join(f"- Error: {text}" for text in errors).encode(), 400, {"Content-Type": "text/plain"})
    found = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return Reply(found, 400 if errors else 200)


def create(call: Call) -> Reply:
    repo = call.named_repository()
    answer = {"url": call.address(repo), "name": repo.id}
    if repo.exists():
        return Reply({**answer, "error": f"You already created this {repo.kind} repo"}, 409)
    repo.create(private=call.json.get("visibility") == "private")
    return Reply(answer)


def delete(call: Call) -> Reply:
    repo = call.named_repository()
    if not repo.exists():
        raise HubError(404, "Repository not found", "RepoNotFound")
    repo.delete()
    return Reply({})


def settings(call: Call) -> Reply:
    repo = call.repository(writing=True)
    if "visibility" in call.json:
        repo.update(private=call.json["visibility"] == "private")
    if "gated" in call.json:
        repo.update(gated=call.json["gated"])
    return Reply({})


def preupload(call: Call) -> Reply:
    repo = call.repository(writing=True)
    present, answers = repo.files(repo.resolve(call.parts["revision"])), []
    for file in call.json["files"]:
        mode, oid = ("lfs", "sha256") if is_large(file["path"], file["size"]) else ("regular", "oid")
        known = present.get(file["path"], {}).get(oid)
        answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": known})
    return Reply({"files": answers})


def lfs_batch(call: Call) -> Reply:
    repo, answers = call.repository(writing=True), []
    for item in call.json["objects"]:
        answers.append({"oid": item["oid"], "size": item["size"]})
        if not repo.object(item["oid"]).is_file():
            call.hub.uploads[repo.object(item["oid"])] = item["size"]
            href = f"{call.hub.url}/lfs/{repo.kind}s/{repo.id}/{item['oid']}"
            answers[-1]["actions"] = {"upload": {"href": href}}
    return Reply({"transfer": "basic", "objects": answers})


def lfs_upload(call: Call) -> Reply:
    """The client sends no token here: `lfs_batch` gave it the address, as the Hub gives signed ones."""
    place = Repository(call.hub.folder, call.parts["kind"].removesuffix("s"), call.parts["id"]).object(
        call.parts["oid"]
    )
    if hashlib.sha256(call.body).hexdigest() != place.name or len(call.body) != call.hub.uploads.get(place):
        raise HubError(400, "The content is not the one that was announced")
    write(place, call.body)
    return Reply(b"")


def commit(call: Call) -> Reply:
    repo = call.repository(writing=True)
    lines = [json.loads(line) for line in call.body.splitlines()]
    new, ref = repo.apply(call.parts["revision"], lines, create_pr="create_pr" in call.query)
    answer = {"success": True, "commitOid": new, "commitUrl": f"{call.address(repo)}/commit/{new}"}
    if ref.startswith(PULLS):
        answer["pullRequestUrl"] = f"{call.address(repo)}/discussions/{ref.removeprefix(PULLS)}"
    return Reply(answer)


def create_branch(call: Call) -> Reply:
    call.repository(writing=True).add_ref(HEADS + call.parts["name"], call.json.get("startingPoint", "main"))
    return Reply({})


def create_tag(call: Call) -> Reply:
    call.repository(writing=True).add_ref(TAGS + call.json["tag"], call.parts["revision"])
    return Reply({})


def refs(call: Call) -> Reply:
    every = call.repository().state["refs"].items()
    answer: dict[str, list] = {"branches": [], "tags": [], "pullRequests": [], "converts": []}
    for group, prefix in zip(answer, (HEADS, TAGS, PULLS), strict=False):
        found = [(ref, target) for ref, target in every if ref.startswith(prefix)]
        answer[group] = [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": to} for ref, to in found]
    return Reply(answer)


def commits(call: Call) -> Reply:
    repo, shown = call.repository(), ("title", "message", "date")
    history = repo.history(repo.resolve(call.parts["revision"]))
    return Reply(
        [{"id": name, "authors": [{"user": USER}], **{key: item[key] for key in shown}} for name, item in history]
    )


def info(call: Call) -> Reply:
    repo = call.repository()
    sha = repo.resolve(call.parts.get("revision", "main"))
    state, files = repo.state, repo.files(sha)
    siblings = [{"rfilename": path} for path in sorted(files)]
    if "blobs" in call.query:
        siblings = [{**describe(path, file), "rfilename": path, "blobId": file["oid"]} for path, file in files.items()]
    card = card_data(repo.read(files["README.md"]).decode() if "README.md" in files else "") or {}
    tags = as_list(card.get("library_name")) + as_list(card.get("tags"))
    for key, label in {"license": "license", "datasets": "dataset", "base_model": "base_model"}.items():
        tags += [f"{label}:{value}" for value in as_list(card.get(key))]
    answer = {"id": repo.id, "author": repo.id.split("/")[0], "sha": sha, "siblings": siblings, "disabled": False}
    answer |= {"private": state["private"], "gated": state["gated"], "downloads": 0, "likes": 0}
    answer |= {"createdAt": state["created"], "lastModified": repo.commit(sha)["date"], "cardData": card, "tags": tags}
    return Reply(
        answer | {key: card[key] for key in ("library_name", "pipeline_tag", "model-index", "sdk") if key in card}
    )


def describe(path: str, file: File | None) -> dict[str, Any]:
    """An entry of a tree: a file, or a folder where there is none."""
    if file is None:
        return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}
    entry = {"type": "file", "oid": file["oid"], "size": file["size"], "path": path}
    if "sha256" in file:
        pointer = lfs_pointer(file["sha256"], file["size"])
        sha256 = {"oid": file["sha256"], "sha256": file["sha256"]}  # one name in a tree, the other among siblings
        entry["lfs"] = {**sha256, "size": file["size"], "pointerSize": len(pointer)}
    return entry


def entries(call: Call) -> dict[str, File | None]:
    """Files of the revision and, with None, the folders they lie in, sorted."""
    repo = call.repository()
    files = repo.files(repo.resolve(call.parts["revision"]))
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    return dict(sorted((dict.fromkeys(folders) | files).items()))


def tree(call: Call) -> Reply:
    found, folder = entries(call), call.parts.get("path", "").rstrip("/")
    if folder and found.get(folder, {}) is not None:
        raise HubError(404, f"{folder} does not exist", "EntryNotFound")
    prefix, recursive = f"{folder}/" if folder else "", call.query.get("recursive", [""])[0].lower() == "true"
    shown = [path for path in found if path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :])]
    return Reply([describe(path, found[path]) for path in shown])


def paths_info(call: Call) -> Reply:
    found, wanted = entries(call), parse_qs(call.body.decode()).get("paths", [])
    return Reply([describe(path, found[path]) for path in wanted if path in found])


def resolve(call: Call) -> Reply:
    repo = call.repository()
    if repo.state["gated"] and call.role is None:
        raise HubError(401, f"Access to {repo.id} is restricted. Please log in.", "GatedRepo")
    sha = repo.resolve(call.parts["revision"])
    file = repo.files(sha).get(call.parts["path"])
    if file is None:
        raise HubError(404, "Entry not found", "EntryNotFound", sha)
    etag, size, data = f'"{file.get("sha256", file["oid"])}"', file["size"], repo.read(file)
    headers = {"X-Repo-Commit": sha, "ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if "sha256" in file:
        headers |= {"X-Linked-ETag": etag, "X-Linked-Size": str(size)}
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", ""))
    if not span:
        return Reply(data, 200, headers)
    first, end = int(span[1]), min(int(span[2] or size) + 1, size)
    if first >= end:
        return Reply(b"", 416, {"Content-Range": f"bytes */{size}"})
    return Reply(data[first:end], 206, {**headers, "Content-Range": f"bytes {first}-{end - 1}/{size}"})


ID, REVISION, PATH = r"(?P<id>[^/]+(?:/[^/]+)?)", r"/(?P<revision>[^/]+)", r"/(?P<path>.+)"
PAGE, REPO = rf"/(?:(?P<kind>datasets|spaces)/)?{ID}", rf"/api/(?P<kind>models|datasets|spaces)/{ID}"
Route = tuple[str, str, Callable[[Call], Reply]]
ROUTES: list[Route] = [
    ("GET", "/api/whoami-v2", whoami),
    ("GET", "/api/agent-harnesses", agent_harnesses),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("POST", "/api/repos/create", create),
    ("DELETE", "/api/repos/delete", delete),
    ("PUT", f"{REPO}/settings", settings),
    ("POST", f"{REPO}/preupload{REVISION}", preupload),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", lfs_batch),
    ("PUT", rf"/lfs/(?P<kind>\w+)/{ID}/(?P<oid>[0-9a-f]{{64}})", lfs_upload),
    ("POST", f"{REPO}/commit{REVISION}", commit),
    ("POST", f"{REPO}/branch/(?P<name>[^/]+)", create_branch),
    ("POST", f"{REPO}/tag{REVISION}", create_tag),
    ("GET", f"{REPO}/refs", refs),
    ("GET", f"{REPO}/commits{REVISION}", commits),
    ("GET", f"{REPO}(?:/revision{REVISION})?", info),
    ("GET", f"{REPO}/tree{REVISION}(?:{PATH})?", tree),
    ("POST", f"{REPO}/paths-info{REVISION}", paths_info),
    ("GET", f"{PAGE}/resolve{REVISION}{PATH}", resolve),
]
