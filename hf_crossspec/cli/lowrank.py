"""crossspec lowrank: a linear layer behind a network that stays as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hf_crossspec.cli.shared import (
    command_from,
    console,
    name_skipped,
    quiet_libraries,
    warn_of_resized,
    write_result,
)
from hf_crossspec.methods.low_rank.config import LowRankArguments

if TYPE_CHECKING:
    from hf_crossspec.methods.low_rank.fit import FittedLowRank

lowrank = typer.Typer(no_args_is_help=True, help="Put a low-rank embedding behind a network that stays as it is.")


@lowrank.callback()
def _lowrank() -> None:
    """Put a low-rank embedding behind a network that stays as it is."""  # makes `fit` a subcommand while it is alone


@command_from(LowRankArguments)
def fit(args: LowRankArguments) -> None:
    """Fit PCA and low-rank transform on subjects seen in both modalities; `evaluate --low-rank` takes the result."""
    quiet_libraries()
    from hf_crossspec.methods.low_rank.fit import fit_low_rank

    result = fit_low_rank(args)
    name_skipped(result.skipped)
    warn_of_resized(result.resized)
    _print_fit(result)
    console.print(f"low-rank embedding: {result.output_dir}", soft_wrap=True)
    facts = {"arguments": asdict(args), **asdict(result), "output_dir": str(result.output_dir)}
    write_result(Path(args.json) if args.json else None, facts)


lowrank.command()(fit)


def _print_fit(result: FittedLowRank) -> None:
    first, last = result.history[0], result.history[-1]
    console.print(
        f"fitted on {result.pictures:,} pictures of {result.subjects:,} subjects in {result.iterations} iterations: "
        f"objective {first['objective']:.4f} to {last['objective']:.4f}, ratio of the subjects' nuclear norms to that "
        f"of all {first['ratio']:.4f} to {last['ratio']:.4f} (1 is best)", soft_wrap=True,
    )  # fmt: skip
    if result.validation is None:
        return
    history, best = result.validation["history"], result.validation["best"]
    console.print(f"iterations chosen on unseen subjects, mean of {result.validation['folds']} folds in per cent:")
    for title, metrics in (("PCA alone", history[0]), (f"{best} iterations", history[best])):
        console.print(f"{title}: EER {100 * metrics['eer']:.2f}, Rank-1 {100 * metrics['rank_1']:.2f}")
    if not best:
        console.print("no iteration lowers the EER of unseen subjects: PCA alone was kept")
