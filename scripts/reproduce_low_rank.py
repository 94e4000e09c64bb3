"""A low-rank embedding behind a network that stays as it is: how its settings were chosen, and what it does.

    python scripts/reproduce_low_rank.py MODEL FACES OUT_DIR --target-modality sketch [--adapter ADAPTER]
        [--lfw LFW.parquet --lfw-pairs LFW_PAIRS.csv] [--hallucinated HALLUCINATED_FACES]

MODEL, FACES and ADAPTER as `reproduce_cufs.py` (out/model, out/cufs, out/adapter-seed0) or `crossspec quickstart`
(base, faces, adapter) leave them: splits train and test of different people. HALLUCINATED_FACES is the same data after
`crossspec hallucinate apply`. Settings are compared by cross-validation over the training subjects only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hf_crossspec import FaceEmbedder, load_faces
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.evaluation.runner import (
    compare_modalities,
    compare_pairs,
    evaluate_comparisons,
    of_modalities,
    quick_metrics,
    read_pairs,
)
from hf_crossspec.files import replacing_file, write_json
from hf_crossspec.methods.hallucination.apply import made_from
from hf_crossspec.methods.low_rank.config import LowRankArguments, LowRankSettings
from hf_crossspec.methods.low_rank.fit import fit_low_rank
from hf_crossspec.methods.low_rank.projection import projections

console = Console(highlight=False, soft_wrap=True)
DEFAULT = LowRankSettings()
FREE = replace(DEFAULT, shrinkage=0.0, proximal=0.05, tolerance=0.0)  # in short steps
LDA_SHRINKAGES = (0.1, 0.5, 0.9)
ONCE, FIVE_TIMES = DEFAULT.iterations, 5 * DEFAULT.iterations
SHOWN = {"rank_1": "Rank-1", "tar_at_fmr_1e-2": "TAR at FMR 1 %", "tar_at_fmr_1e-3": "TAR at FMR 0.1 %", "eer": "EER"}
Map = Callable[[np.ndarray], np.ndarray]  # embeddings (N, D) -> embeddings (N, r), both of length one
Report = dict[str, Any]


@dataclass(frozen=True)
class Pictures:
    """Embeddings (N, D) with subjects and modalities (N,)."""

    embeddings: np.ndarray
    subjects: np.ndarray
    modalities: np.ndarray

    @classmethod
    def embed(cls, embedder: FaceEmbedder, data: Path, split: str, sides: tuple[str, str]) -> Pictures:
        faces = of_modalities(load_faces(data, split), *sides)
        found = embedder.embed_dataset(faces)
        return cls(found.values, *(np.array(faces[name])[found.rows] for name in ("subject_id", "modality")))

    def where(self, chosen: np.ndarray) -> Pictures:
        return Pictures(self.embeddings[chosen], self.subjects[chosen], self.modalities[chosen])


def reproduce(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    faces: Annotated[Path, typer.Argument(help="Faces with the splits train and test.")],
    output_dir: Annotated[Path, typer.Argument(help="New folder for everything made.")],
    target_modality: Annotated[str, typer.Option(help="Modality to bring to vis.")],
    adapter: Annotated[Path | None, typer.Option(help="Also put it behind this adapter.")] = None,
    lfw: Annotated[Path | None, typer.Option(help="Aligned LFW pictures, Parquet.")] = None,
    lfw_pairs: Annotated[Path | None, typer.Option(help="LFW view-2 pairs, CSV.")] = None,
    hallucinated: Annotated[Path | None, typer.Option(help="The faces with hallucinated pictures.")] = None,
) -> None:
    """Compare settings on the training subjects, then systems on the test subjects."""
    quiet_libraries()
    output_dir.mkdir(parents=True)
    retention = None if lfw is None or lfw_pairs is None else (lfw, lfw_pairs)
    networks: dict[str, tuple[Path | None, Path, str]] = {"": (None, faces, target_modality)}
    if adapter is not None:
        networks["adapter"] = (adapter, faces, target_modality)
    if hallucinated is not None:
        networks["hallucination"] = (None, hallucinated, made_from(target_modality))
    report: Report = {"validation": {}, "test": {}}
    for name, (its_adapter, its_faces, target) in networks.items():
        sides = ("vis", target)
        embedder = FaceEmbedder.from_pretrained(model, its_adapter)
        train, test = (Pictures.embed(embedder, its_faces, split, sides) for split in ("train", "test"))
        report["validation"][name or "network"] = cross_validate(train, sides)
        arguments = LowRankArguments(
            model=str(model), adapter=None if its_adapter is None else str(its_adapter), data=str(its_faces),
            target_modality=target, output_dir=str(output_dir / f"low-rank {name}".strip()),
        )  # fmt: skip
        kept = Retention.embed(embedder, *retention) if retention else None
        maps = systems(train, arguments, complete=name == "")
        for system, apply in maps.items():
            title = " + ".join(part for part in (name, system) if part) or "neither"
            report["test"][title] = measure(apply, test, sides, kept)
        if name == "":
            before, after = (maps[system](test.embeddings) for system in ("", "low-rank"))
            plot_subjects(before, after, test, output_dir / "subjects.png")
    write_json(output_dir / "results.json", report)
    print_tables(report)


def systems(train: Pictures, arguments: LowRankArguments, complete: bool) -> dict[str, Map]:
    """What follows the network: nothing, PCA alone, the fitted low-rank embedding; if `complete` also the others."""
    fit_low_rank(arguments)
    low_rank = FaceEmbedder.from_pretrained(arguments.model, arguments.adapter, arguments.output_dir).low_rank
    assert low_rank is not None
    layer = low_rank.linear.weight.detach().double().numpy(), low_rank.linear.bias.detach().double().numpy()
    maps: dict[str, Map] = {
        "": lambda embeddings: embeddings,
        "PCA alone": at_iteration(train, DEFAULT, 0),
        "low-rank": lambda embeddings: normalised(embeddings @ layer[0].T + layer[1]),
    }
    unstopped = replace(DEFAULT, tolerance=0.0)
    for iterations in (ONCE, FIVE_TIMES):
        maps[f"low-rank, {iterations} iterations, no early stop"] = at_iteration(train, unstopped, iterations)
    if not complete:
        return maps
    for iterations in (3, ONCE, FIVE_TIMES):
        maps[f"no shrinkage, {iterations} iterations"] = at_iteration(train, FREE, iterations)
    return maps | {f"LDA, shrinkage {value}": discriminant(train, value) for value in LDA_SHRINKAGES}


def at_iteration(train: Pictures, settings: LowRankSettings, iteration: int) -> Map:
    """The projection after so many iterations, or the last one where the objective cannot be lowered any more."""
    path = projections(train.embeddings, train.subjects, replace(settings, iterations=max(1, iteration)))
    *_, last = islice(path, iteration + 1)
    return last.apply


def discriminant(train: Pictures, shrinkage: float) -> Map:
    """Linear discriminant analysis of the subjects, by scikit-learn."""
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(train.embeddings, train.subjects)
    return lambda embeddings: normalised(lda.transform(embeddings))


def normalised(values: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def cross_validate(train: Pictures, sides: tuple[str, str], repeats: int = 2) -> dict[str, dict[str, float]]:
    """Mean metrics over random halves of the training subjects, fitted on one half and measured on the other."""
    trials = {
        "PCA alone": (DEFAULT, (0,)),
        **{
            f"shrinkage {value:g}": (replace(DEFAULT, shrinkage=value), (ONCE,))
            for value in (0.005, 0.01, 0.02, 0.04, 0.08)
        },
        **{f"{value} dimensions": (replace(DEFAULT, dimensions=value), (ONCE,)) for value in (32, 64, 128)},
        "no shrinkage": (FREE, (1, 3, 10, ONCE, FIVE_TIMES)),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for fit, held in halves(train, repeats):
        others: dict[str, Map] = {"network alone": lambda embeddings: embeddings}
        others |= {f"LDA, shrinkage {value}": discriminant(fit, value) for value in LDA_SHRINKAGES}
        for title, apply in others.items():
            metrics = quick_metrics(apply(held.embeddings), held.subjects, held.modalities, *sides)
            found.setdefault(title, []).append(metrics)
        for title, (settings, wanted) in trials.items():
            path = projections(fit.embeddings, fit.subjects, replace(settings, iterations=max(1, *wanted)))
            for projection in path:
                number = projection.iterate.number
                if number in wanted or wanted == (ONCE,):  # a path that has converged ends before
                    applied = projection.apply(held.embeddings)
                    metrics = quick_metrics(applied, held.subjects, held.modalities, *sides)
                if number in wanted and len(wanted) > 1:
                    found.setdefault(f"{title}, {number} iterations", []).append(metrics)
                if number == wanted[-1]:
                    break
            if len(wanted) == 1:
                found.setdefault(title, []).append(metrics)
    return {title: {name: float(np.mean([m[name] for m in some])) for name in SHOWN} for title, some in found.items()}


def halves(train: Pictures, repeats: int) -> Iterator[tuple[Pictures, Pictures]]:
    """Random halves of the subjects, each once to fit on and once to measure on."""
    names = np.unique(train.subjects)
    for repeat in range(repeats):
        chosen = np.random.default_rng(repeat).permutation(names)[: len(names) // 2]
        first = np.isin(train.subjects, chosen)
        yield train.where(first), train.where(~first)
        yield train.where(~first), train.where(first)


@dataclass(frozen=True)
class Retention:
    """Visible pictures embedded once, and pairs of them."""

    faces: Any
    embeddings: np.ndarray
    rows: np.ndarray
    pairs: Any

    @classmethod
    def embed(cls, embedder: FaceEmbedder, lfw: Path, pairs: Path) -> Retention:
        faces = load_faces(lfw)
        found = embedder.embed_dataset(faces)
        return cls(faces, found.values, found.rows, read_pairs(pairs))

    def report(self, apply: Map) -> Report:
        return evaluate_comparisons(compare_pairs(apply(self.embeddings), self.faces, self.rows, self.pairs))


def measure(apply: Map, test: Pictures, sides: tuple[str, str], kept: Retention | None) -> dict[str, Report]:
    """Target probes against visible templates of the test subjects, and what the visible pairs keep."""
    matrix = compare_modalities(apply(test.embeddings), test.subjects, test.modalities, *sides)
    reports = {"target": evaluate_comparisons(matrix)}
    return reports if kept is None else reports | {"lfw": kept.report(apply)}


def plot_subjects(before: np.ndarray, after: np.ndarray, test: Pictures, path: Path) -> None:
    """The first five test subjects in two principal components, as Fig. 6 of Lezama et al."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), dpi=150, layout="constrained")
    names = np.unique(test.subjects)[:5]
    shown = np.isin(test.subjects, names)
    for axes, title, values in zip(
        figure.subplots(1, 2), ("network alone", "with low-rank embedding"), (before, after), strict=True
    ):
        points = PCA(2).fit_transform(values[shown])
        for colour, name in enumerate(names):
            own = test.subjects[shown] == name
            for marker, filled, vis in (("o", True, True), ("D", False, False)):
                chosen = own & ((test.modalities[shown] == "vis") == vis)
                axes.scatter(
                    *points[chosen].T, s=70, marker=marker, edgecolors=f"C{colour}", linewidths=1.8,
                    facecolors=f"C{colour}" if filled else "none",
                )  # fmt: skip
            axes.plot(*points[own].T, color=f"C{colour}", linewidth=0.8, zorder=0)
        axes.set_title(title)
        axes.set_aspect("equal", "datalim")
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle("Five test subjects, a colour each: vis filled, the other modality open")
    with replacing_file(path) as temporary:
        figure.savefig(temporary)


def print_tables(report: Report) -> None:
    """As Markdown, in per cent; on the test subjects with 95 % intervals."""
    for name, rows in report["validation"].items():
        console.print(f"\n{name}: cross-validation over the training subjects\n| | {' | '.join(SHOWN.values())} |")
        console.print("|---" * (len(SHOWN) + 1) + "|")
        for title, metrics in rows.items():
            console.print(f"| {title} | {' | '.join(f'{100 * metrics[name]:.2f}' for name in SHOWN)} |")
    with_lfw = any("lfw" in reports for reports in report["test"].values())
    console.print(
        f"\n| test subjects | {' | '.join(SHOWN.values())} |{' LFW accuracy | LFW EER |' if with_lfw else ''}"
    )
    console.print("|---" * (len(SHOWN) + 1 + 2 * with_lfw) + "|")
    for title, reports in report["test"].items():
        cells = [with_interval(reports["target"]["metrics"][name]) for name in SHOWN]
        cells += [with_interval(reports["lfw"]["metrics"][name]) for name in ("accuracy", "eer")] if with_lfw else []
        console.print(f"| {title} | {' | '.join(cells)} |")


def with_interval(metric: dict[str, float]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]"


if __name__ == "__main__":
    typer.run(reproduce)
