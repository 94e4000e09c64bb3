"""The Hub as this package uses it: what is there, and one commit per publication; its errors as one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from httpx2 import TransportError
from huggingface_hub import HfApi, RepoCard
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

from hf_crossspec import __version__
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.hub.source import is_repo_id, split_revision

LOGIN = "log in with `hf auth login`, or set HF_TOKEN, with a token that may write there"


class HubClient:
    """Reads from and publishes to the Hub with the token from the usual places (`hf auth login`, HF_TOKEN)."""

    def __init__(self) -> None:
        self.api = HfApi(library_name="hf_crossspec", library_version=__version__)

    def commit_of(self, source: str) -> tuple[str, str]:
        """`owner/name[@revision]` of a model -> its id and the commit it stands for now.

        Raises:
            InputError: not a Hub id, or not on the Hub.
        """
        if not is_repo_id(source):
            raise InputError(
                f"the base {source} is not on the Hub, so nobody could load the adapter: publish it with "
                "`crossspec push base`, then name it with --base"
            )
        name, revision = split_revision(source)
        with one_line_errors(name):
            return name, str(self.api.model_info(name, revision=revision).sha)

    def licence_of(self, name: str, revision: str) -> str | None:
        """The licence in a model's card; the `license_name` of a licence that the Hub does not list."""
        with one_line_errors(name):
            card = self.api.model_info(name, revision=revision).card_data
        if card is None:
            return None
        return card.get("license_name") if card.get("license") == "other" else card.get("license")

    def is_public(self, repo_id: str, repo_type: str) -> bool | None:
        """Whether everybody can see a repository; `None` when there is none."""
        with one_line_errors(repo_id):
            try:
                return not self.api.repo_info(repo_id, repo_type=repo_type).private
            except RepositoryNotFoundError:
                return None

    def publish(
        self,
        folder: Path,
        repo_id: str,
        repo_type: str,
        message: str,
        private: bool = False,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Upload a folder as one commit, so that readers see all of it or nothing; returns its address.

        Args:
            folder: Files to upload; README.md is checked by the Hub's validator first.
            private: Of a repository that is made now; an existing one keeps its visibility.
            revision: Branch to commit to, made if need be.
            create_pr: Propose the commit instead.

        Raises:
            InputError: no permission, a card or name that the Hub refuses, or no connection.
        """
        with one_line_errors(repo_id):
            card = RepoCard.load(folder / "README.md", ignore_metadata_errors=False)
            card.validate(repo_type=repo_type)
            sdk = card.data.get("sdk") if repo_type == "space" else None
            self.api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, space_sdk=sdk)
            if revision is not None:
                self.api.create_branch(repo_id, repo_type=repo_type, branch=revision, exist_ok=True)
            commit: Any = self.api.upload_folder(
                repo_id=repo_id, repo_type=repo_type, folder_path=folder, commit_message=message,
                revision=revision, create_pr=create_pr,
            )  # fmt: skip
        return str(commit.pr_url or commit.commit_url)  # no pull request is made when nothing differs


@contextmanager
def one_line_errors(repo_id: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except OfflineModeIsEnabled:
        raise InputError("the Hub is switched off: unset HF_HUB_OFFLINE") from None
    except RepositoryNotFoundError as error:
        raise InputError(f"{repo_id} is not on the Hub, or not for you to see: {LOGIN}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise InputError(f"the Hub refuses access to {repo_id} ({status}): {LOGIN}") from error
        raise InputError(f"the Hub refuses {repo_id}: {one_line(error)}") from error
    except (HFValidationError, ValueError) as error:
        raise InputError(f"{repo_id}: {one_line(error)}") from error
    except (OSError, TransportError, RuntimeError) as error:  # an upload that fails half-way is a RuntimeError
        raise InputError(f"the Hub cannot be reached: {one_line(error)}") from error
