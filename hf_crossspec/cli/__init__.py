"""The `crossspec` command. A file per command; heavy imports happen inside the commands."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from hf_crossspec.cli.calibrate import calibrate
from hf_crossspec.cli.compare import compare
from hf_crossspec.cli.convert import convert
from hf_crossspec.cli.demo import demo
from hf_crossspec.cli.embed import embed
from hf_crossspec.cli.enroll import enroll
from hf_crossspec.cli.evaluate import evaluate
from hf_crossspec.cli.export import export
from hf_crossspec.cli.hallucinate import hallucinate
from hf_crossspec.cli.identify import identify
from hf_crossspec.cli.lowrank import lowrank
from hf_crossspec.cli.prepare import prepare
from hf_crossspec.cli.push import push
from hf_crossspec.cli.quickstart import quickstart
from hf_crossspec.cli.report import report
from hf_crossspec.cli.train import train
from hf_crossspec.cli.verify import verify
from hf_crossspec.errors import InputError, Interrupted

ADAPT, MEASURE, USE, SHARE, OTHER = "Adapt", "Measure", "Use", "Share", "Other methods"

app = typer.Typer(
    name="crossspec",
    help="Adapt a small visible-light face recogniser to another spectrum, and measure what it gained and kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel=ADAPT)(quickstart)
app.command(rich_help_panel=ADAPT)(convert)
app.add_typer(prepare, name="prepare", rich_help_panel=ADAPT)
app.command(rich_help_panel=ADAPT)(train)
app.command(rich_help_panel=MEASURE)(evaluate)
app.command(rich_help_panel=MEASURE)(calibrate)
app.command(rich_help_panel=MEASURE)(compare)
app.command(rich_help_panel=MEASURE)(report)
app.command(rich_help_panel=USE)(embed)
app.command(rich_help_panel=USE)(verify)
app.command(rich_help_panel=USE)(enroll)
app.command(rich_help_panel=USE)(identify)
app.command(rich_help_panel=USE)(demo)
app.add_typer(push, name="push", rich_help_panel=SHARE)
app.command(rich_help_panel=SHARE)(export)
app.add_typer(hallucinate, name="hallucinate", rich_help_panel=OTHER)
app.add_typer(lowrank, name="lowrank", rich_help_panel=OTHER)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 2 bad input or usage, 143 stopped and resumable, 1 our failure."""
    try:
        app()
    except InputError as error:
        _print_error(error)
        sys.exit(2)
    except Interrupted as error:
        _print_error(error)
        sys.exit(143)


def _print_error(error: Exception) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {' '.join(str(error).split())}", markup=False)
