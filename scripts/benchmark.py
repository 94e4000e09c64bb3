"""Speed as ratios against a stated reference, both measured in this run, in turns, so that a drifting machine cancels.

    python scripts/benchmark.py train --json train.json

Pictures are random and weights are fresh: arithmetic costs the same for any values.
"""

from __future__ import annotations

import typer
from benchmarks.demo import demo
from benchmarks.end_to_end import end_to_end
from benchmarks.gallery import gallery
from benchmarks.hallucinate import hallucinate
from benchmarks.infer import infer
from benchmarks.load import load, switch
from benchmarks.memory import memory
from benchmarks.render import render
from benchmarks.score import score
from benchmarks.train import train

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
for command in (train, render, score, load, switch, gallery, end_to_end, memory, infer, hallucinate, demo):
    app.command()(command)

if __name__ == "__main__":
    app()
