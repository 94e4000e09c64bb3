"""The stand-in Hub as a fixture, with processes in which the real clients meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.local_hub.server import Hub
from tests.local_hub.storage import Repository

# What the parent process says about the Hub and the way to it must not reach a client.
FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class LocalHub(Hub):
    """A Hub, the clients' processes, and what the Hub holds. `kind` is model, dataset or space."""

    token = "hf_write"

    def environment(self, home: Path, offline: bool = False, token: str | None = "hf_write") -> dict[str, str]:
        """Environment of a client that keeps its cache under `home`; without a token it is anonymous."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "60"}
        settings |= {"HF_HUB_DOWNLOAD_TIMEOUT": "60", "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        settings["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"  # `evaluate` counts downloads on another host
        settings |= dict.fromkeys(
            ("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"), "1"
        )
        settings |= {"HF_TOKEN": token} if token else {}
        settings |= {"HF_HUB_OFFLINE": "1"} if offline else {}
        return kept | settings

    def run(
        self,
        code: str,
        home: Path,
        *,
        offline: bool = False,
        token: str | None = "hf_write",
        blocked: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh process, in the folder `home`, where the blocked modules cannot be imported."""
        block = f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        return self._start(["-c", block + dedent(code)], home, offline, token)

    def command(
        self, *args: object, home: Path, offline: bool = False, token: str | None = "hf_write"
    ) -> subprocess.CompletedProcess[str]:
        """Run the project's command line in a fresh process, in the folder `home`."""
        return self._start(["-m", "hf_crossspec.cli", *map(str, args)], home, offline, token)

    def _start(self, args: list[str], home: Path, offline: bool, token: str | None) -> subprocess.CompletedProcess[str]:
        home.mkdir(parents=True, exist_ok=True)
        environment = self.environment(home, offline, token)
        return subprocess.run([sys.executable, *args], cwd=home, env=environment, capture_output=True, text=True)

    def repo_files(self, kind: str, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Files of a branch, tag, pull request (refs/pr/1) or commit."""
        with self.lock:
            repo = Repository(self.folder, kind, repo_id)
            return {path: repo.read(file) for path, file in repo.files(repo.resolve(revision)).items()}

    def revisions(self, kind: str, repo_id: str) -> list[str]:
        """All commits ever made to a repository, on whatever branch, oldest first."""
        with self.lock:
            return Repository(self.folder, kind, repo_id).state["commits"]


@pytest.fixture(scope="session")
def local_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A Hub with no repositories; tests give theirs different names, and no two tests' faults may meet."""
    hub = LocalHub(tmp_path_factory.mktemp("local_hub"))
    yield hub
    hub.close()
