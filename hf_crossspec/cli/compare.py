"""crossspec compare"""

from __future__ import annotations

from pathlib import Path

from hf_crossspec.cli.shared import command_from, console, quiet_libraries, write_result
from hf_crossspec.compare.config import CompareArguments


@command_from(CompareArguments)
def compare(args: CompareArguments) -> None:
    """Compare ways to adapt: the same loop, loss and search budget for each; one table and one plot."""
    quiet_libraries()
    from hf_crossspec.compare.run import compare as run
    from hf_crossspec.compare.table import off_front, rich_table

    report = run(args, say=lambda text: console.print(text, markup=False, soft_wrap=True))
    console.print(rich_table(report["summary"]))
    console.print("per cent: mean over the seeds (lowest - highest); retention of the adapted: change of accuracy")
    for line in off_front(report["summary"]):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"table, runs and plot: compare.md, compare.json and pareto.png in {args.output_dir}", markup=False)
    write_result(Path(args.json) if args.json else None, report)
