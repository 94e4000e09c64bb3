"""Publish on the Hub: a checked folder becomes one commit, or with `dry_run` only a list of what would go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hf_crossspec.errors import InputError
from hf_crossspec.hub.client import HubClient
from hf_crossspec.hub.source import REPO_ID
from hf_crossspec.hub.stage import Statement, stage_adapter, stage_base, stage_merged
from hf_crossspec.hub.stage_data import DataStatement, stage_dataset
from hf_crossspec.hub.stage_low_rank import stage_low_rank
from hf_crossspec.hub.stage_space import stage_space

NOTHING_SAID, NOTHING_SAID_OF_DATA = Statement(), DataStatement()


@dataclass(frozen=True)
class Destination:
    """Where to publish.

    Args:
        repo_id: `owner/name`; made when it does not exist.
        private: Make a new repository private; an existing one keeps its visibility.
        revision: Branch to commit to instead of main; made when it does not exist.
        create_pr: Propose the commit as a pull request.
        dry_run: Check and list everything, publish nothing.
    """

    repo_id: str
    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not REPO_ID.fullmatch(self.repo_id) or ".." in self.repo_id or "--" in self.repo_id:
            raise InputError(f"{self.repo_id} is not a repository name of the form owner/name")


@dataclass(frozen=True)
class Publication:
    """What was published, or with `dry_run` would be: address (`None` for a dry run), file sizes in bytes, card."""

    url: str | None
    files: dict[str, int]
    card: str


def push_base(model: str | Path, to: Destination, statement: Statement = NOTHING_SAID) -> Publication:
    """Publish a model folder; see `stage_base`."""
    return _publish(partial(stage_base, model, to.repo_id, statement), to, "model", "Add model")


def push_adapter(
    run: str | Path,
    to: Destination,
    base: str | None = None,
    statement: Statement = NOTHING_SAID,
) -> Publication:
    """Publish the adapter of a training run; see `stage_adapter`.

    Example:
        >>> to = Destination("me/edgeface-xxs-nir", dry_run=True)
        >>> push_adapter("edgeface-xxs-nir", to, base="me/edgeface-xxs").files  # doctest: +SKIP
        {'README.md': 4711, 'adapter_config.json': 893, 'adapter_model.safetensors': 23264}
    """
    client = HubClient()
    return _publish(
        lambda folder: stage_adapter(run, to.repo_id, base, statement, folder, client), to, "model", "Add adapter"
    )


def push_merged(
    run: str | Path,
    to: Destination,
    base: str | None = None,
    statement: Statement = NOTHING_SAID,
) -> Publication:
    """Publish base and adapter as one model; see `stage_merged`."""
    client = HubClient()
    return _publish(
        lambda folder: stage_merged(run, to.repo_id, base, statement, folder, client), to, "model", "Add model"
    )


def push_low_rank(
    run: str | Path,
    to: Destination,
    base: str | None = None,
    adapter: str | None = None,
    statement: Statement = NOTHING_SAID,
) -> Publication:
    """Publish a low-rank embedding; see `stage_low_rank`."""
    client = HubClient()
    return _publish(
        lambda folder: stage_low_rank(run, to.repo_id, base, adapter, statement, folder, client),
        to, "model", "Add low-rank embedding",
    )  # fmt: skip


def push_dataset(source: str | Path, to: Destination, statement: DataStatement = NOTHING_SAID_OF_DATA) -> Publication:
    """Publish a data set of faces; see `stage_dataset`.

    Raises:
        InputError: pictures of people would become public without `statement.consent`.
    """

    def stage(folder: Path) -> None:
        shows_people = stage_dataset(source, to.repo_id, statement, folder)
        if shows_people and not statement.consent:
            _refuse_public(to)

    return _publish(stage, to, "dataset", "Add data set")


def push_space(source: str | Path, to: Destination, licence: str, models: Sequence[str] = ()) -> Publication:
    """Publish a Space; see `stage_space`."""
    return _publish(partial(stage_space, source, to.repo_id, licence, models), to, "space", "Add Space")


def _publish(stage: Callable[[Path], None], to: Destination, repo_type: str, message: str) -> Publication:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage(folder)
        files = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
        url = None
        if not to.dry_run:
            url = HubClient().publish(
                folder, to.repo_id, repo_type, message,
                private=to.private, revision=to.revision, create_pr=to.create_pr,
            )  # fmt: skip
        return Publication(url, files, (folder / "README.md").read_text(encoding="utf-8"))


def _refuse_public(to: Destination) -> None:
    """Pictures of people go into a private repository, unless the publisher states their consent."""
    public = HubClient().is_public(to.repo_id, "dataset")
    if public or (public is None and not to.private):
        raise InputError(
            f"the pictures show people and {to.repo_id} {'is' if public else 'would be'} public: publish to a private "
            "repository (--private), or state that these people agreed with --i-have-consent-to-publish"
        )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
