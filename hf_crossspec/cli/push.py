"""crossspec push: publish a model, an adapter, a data set or a Space on the Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hf_crossspec.cli.shared import console, quiet_libraries

if TYPE_CHECKING:
    from hf_crossspec.hub.push import Destination, Publication
    from hf_crossspec.hub.stage import Statement

push = typer.Typer(no_args_is_help=True, help="Publish on the Hugging Face Hub, with a card filled from measurements.")

RepoIdOption = Annotated[str, typer.Option("--repo-id", help="Repository to publish to, owner/name.")]
PrivateOption = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]
RevisionOption = Annotated[str | None, typer.Option("--revision", help="Branch to commit to, instead of main.")]
PullRequestOption = Annotated[bool, typer.Option("--create-pr", help="Propose the commit as a pull request.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show files and card; publish nothing.")]
ReportOption = Annotated[
    list[Path] | None, typer.Option("--report", help="File of `evaluate --json` for the card; may be given repeatedly.")
]
DataOption = Annotated[
    str | None, typer.Option("--trained-on", help="For the card: the training data and their terms, in a sentence.")
]
LicenceOption = Annotated[
    str | None, typer.Option("--license", help="Licence to publish under; the default is that of the weights.")
]
BaseOption = Annotated[
    str | None, typer.Option("--base", help="Hub id of the base, if it was trained from a folder.")
]  # fmt: skip


@push.command()
def base(
    model: Annotated[str, typer.Argument(help="Model folder.")],
    repo_id: RepoIdOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    create_pr: PullRequestOption = False,
    dry_run: DryRunOption = False,
    report: ReportOption = None,
    trained_on: DataOption = None,
    license: LicenceOption = None,
) -> None:
    """Publish a model with the code that loads it."""
    quiet_libraries()
    from hf_crossspec.hub.push import push_base

    to = _destination(repo_id, private, revision, create_pr, dry_run)
    _tell(push_base(model, to, _statement(report, trained_on, license)), to)


def _of_a_run(kind: Literal["adapter", "merged"]) -> Callable[..., None]:
    """The command that publishes what a training run made, in one of its two forms."""

    def command(
        run: Annotated[str, typer.Argument(help="Folder that `crossspec train` wrote.")],
        repo_id: RepoIdOption,
        base: BaseOption = None,
        private: PrivateOption = False,
        revision: RevisionOption = None,
        create_pr: PullRequestOption = False,
        dry_run: DryRunOption = False,
        report: ReportOption = None,
        trained_on: DataOption = None,
        license: LicenceOption = None,
    ) -> None:
        quiet_libraries()
        from hf_crossspec.hub.push import push_adapter, push_merged

        to = _destination(repo_id, private, revision, create_pr, dry_run)
        publish = push_adapter if kind == "adapter" else push_merged
        _tell(publish(run, to, base, _statement(report, trained_on, license)), to)

    return command


push.command("adapter", help="Publish an adapter; it names its base by Hub id and commit.")(_of_a_run("adapter"))
push.command("merged", help="Publish base and adapter as one model; it must embed as the two do.")(_of_a_run("merged"))


@push.command("low-rank")
def low_rank(
    run: Annotated[str, typer.Argument(help="Folder that `crossspec lowrank fit` wrote.")],
    repo_id: RepoIdOption,
    base: BaseOption = None,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="Hub id of the adapter, if it was fitted with one from a folder.")
    ] = None,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    create_pr: PullRequestOption = False,
    dry_run: DryRunOption = False,
    report: ReportOption = None,
    trained_on: DataOption = None,
    license: LicenceOption = None,
) -> None:
    """Publish a low-rank embedding; it names the network before it by Hub id and commit."""
    quiet_libraries()
    from hf_crossspec.hub.push import push_low_rank

    to = _destination(repo_id, private, revision, create_pr, dry_run)
    _tell(push_low_rank(run, to, base, adapter, _statement(report, trained_on, license)), to)


@push.command()
def dataset(
    source: Annotated[str, typer.Argument(help="Data set of faces: a folder or a .parquet file.")],
    repo_id: RepoIdOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    create_pr: PullRequestOption = False,
    dry_run: DryRunOption = False,
    license: Annotated[str | None, typer.Option("--license", help="Licence of the pictures.")] = None,
    origin: Annotated[str | None, typer.Option(help="Where the pictures come from, and on what terms.")] = None,
    i_have_consent_to_publish: Annotated[
        bool, typer.Option("--i-have-consent-to-publish", help="State that the people shown agreed to publication.")
    ] = False,
) -> None:
    """Publish a data set of faces as Parquet."""
    quiet_libraries()
    from hf_crossspec.hub.push import push_dataset
    from hf_crossspec.hub.stage_data import DataStatement

    to = _destination(repo_id, private, revision, create_pr, dry_run)
    _tell(push_dataset(source, to, DataStatement(license, origin, i_have_consent_to_publish)), to)


@push.command()
def space(
    source: Annotated[Path, typer.Argument(help="Folder with app.py, or with the card of a Space.")],
    repo_id: RepoIdOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    create_pr: PullRequestOption = False,
    dry_run: DryRunOption = False,
    license: Annotated[str, typer.Option("--license", help="Licence, where the folder has no card.")] = "apache-2.0",
    model: Annotated[list[str] | None, typer.Option(help="Hub id of a model it shows; may be repeated.")] = None,
) -> None:
    """Publish a Space: a demo, or an `evaluate` module."""
    quiet_libraries()
    from hf_crossspec.hub.push import push_space

    to = _destination(repo_id, private, revision, create_pr, dry_run)
    _tell(push_space(source, to, license, model or ()), to)


def _destination(repo_id: str, private: bool, revision: str | None, create_pr: bool, dry_run: bool) -> Destination:
    from huggingface_hub.utils import disable_progress_bars

    from hf_crossspec.hub.push import Destination

    disable_progress_bars()
    return Destination(repo_id, private, revision, create_pr, dry_run)


def _statement(reports: list[Path] | None, trained_on: str | None, licence: str | None) -> Statement:
    from hf_crossspec.hub.stage import Statement

    return Statement(tuple(reports or ()), trained_on, licence)


def _tell(publication: Publication, to: Destination) -> None:
    for name, size in publication.files.items():
        console.print(f"{size:>12,}  {name}", markup=False)
    if to.dry_run:
        console.print(f"\nREADME.md:\n{publication.card}", markup=False, soft_wrap=True)
        console.print(f"nothing was published; without --dry-run this goes to {to.repo_id}")
    else:
        console.print(f"published: {publication.url}", soft_wrap=True)
