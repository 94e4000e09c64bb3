"""crossspec prepare PROTOCOL: one command per published protocol, made from its definition."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hf_crossspec.cli.shared import console, quiet_libraries
from hf_crossspec.data.protocols import PROTOCOLS, Protocol

PANEL = "Published protocols, on your copy of a database"

_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "root": (Annotated[Path, typer.Argument(help="Your copy of the database.")], inspect.Parameter.empty),
    "output_dir": (Annotated[Path, typer.Argument(help="New folder for the data set.")], inspect.Parameter.empty),
    "fold": (Annotated[int | None, typer.Option(help="Which fold.")], None),
    "variant": (Annotated[str | None, typer.Option(help="Which variant; the first is the default.")], None),
    "lists": (
        Annotated[
            Path | None, typer.Option("--list", help="Folder of the lists, or the pair list itself, if elsewhere.")
        ],
        None,
    ),
    "align": (Annotated[bool, typer.Option("--align", help="Align by the database's own eye coordinates.")], False),
    "allow_count_mismatch": (
        Annotated[bool, typer.Option("--allow-other-counts", help="Accept a copy that is not complete, and say so.")],
        False,
    ),
}


def add_protocols(prepare: typer.Typer) -> None:
    """Add a command for each protocol to `crossspec prepare`."""
    for protocol in PROTOCOLS.values():
        prepare.command(protocol.name, rich_help_panel=PANEL, short_help=protocol.title)(_command(protocol))


def _command(protocol: Protocol) -> Callable[..., None]:
    def command(root: Path, output_dir: Path, **options: Any) -> None:
        quiet_libraries()
        from hf_crossspec.data.protocols import prepare_protocol

        done = prepare_protocol(protocol.name, root, output_dir, **options)
        _print_counts(done.checked)
        console.print(f"written to {output_dir}", markup=False, soft_wrap=True)
        options = done.checked.evaluate_options(shlex.quote(str(output_dir)))
        console.print(f"crossspec evaluate --model MODEL {options}", markup=False, soft_wrap=True)

    offered = {
        "fold": protocol.folds, "variant": protocol.variants, "lists": protocol.has_lists, "align": protocol.has_eyes
    }  # fmt: skip
    command.__doc__ = _help(protocol)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _PARAMETERS.items()
            if offered.get(name, True)
        ]
    )
    return command


def _help(protocol: Protocol) -> str:
    paragraphs = [
        protocol.title + ".",
        f"From: {protocol.owner}. Terms: {protocol.terms}.",
        f"Layout: {protocol.layout}.",
        f"Lists: {protocol.lists}",
    ]
    if protocol.folds:
        paragraphs.append(f"Folds: {protocol.folds[0]} to {protocol.folds[-1]}.")
    if protocol.variants:
        paragraphs.append(f"Variants: {', '.join(protocol.variants)}.")
    return "\n\n".join(paragraphs)


def _print_counts(checked: Any) -> None:
    table = Table("count", "expected", "found", title=checked.label, title_justify="left")
    for name in {**checked.expected, **checked.found}:
        expected = checked.expected.get(name)
        table.add_row(name, "not asserted" if expected is None else f"{expected:,}", f"{checked.found.get(name, 0):,}")
    console.print(table)
    if checked.differences:
        console.print(
            f"warning: not as the protocol says: {'; '.join(checked.differences)}; results on this copy are not "
            "comparable with published ones",
            markup=False,
        )
