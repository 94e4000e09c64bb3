"""Cross-spectral hallucination measured: picture quality, recognition with and without it, and the sweep of alpha.

    python scripts/reproduce_hallucination.py simulated hf_crossspec/assets/edgeface-nano OUT_DIR
    python scripts/reproduce_hallucination.py sketches WEIGHTS_DIR/edgeface_xxs_q.pt CUFS_DIR OUT_DIR

`simulated` renders SpectralFaces; its near infrared is simulated, and named so (nir-sim). `sketches` takes the CUHK
student part of CUFS as `imagefolder` splits train (88 subjects) and test (100), pictures of 200 x 250 with the eyes
near (75, 125) and (125, 125); ask its owner for it. Choices are made on subjects neither trained nor tested on.
A run that was interrupted goes on when the same command is given again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from datasets import Dataset
from PIL import Image
from rich.console import Console

from hf_crossspec import FaceEmbedder, convert_checkpoint, evaluate_model, prepare_pictures
from hf_crossspec.cli.shared import quiet_libraries
from hf_crossspec.data.schema import load_faces
from hf_crossspec.data.synthetic import write_spectralfaces
from hf_crossspec.data.synthetic.contact_sheet import save_sheet
from hf_crossspec.evaluation.runner import compare_modalities, evaluate_comparisons
from hf_crossspec.files import write_json
from hf_crossspec.methods.hallucination.apply import (
    hallucinate_faces,
    hallucinate_pixels,
    load_hallucinator,
    made_from,
)
from hf_crossspec.methods.hallucination.config import HallucinationArguments
from hf_crossspec.methods.hallucination.pairs import SpectralPairs, load_pairs
from hf_crossspec.methods.hallucination.patches import MiningSettings, mine_patches
from hf_crossspec.methods.hallucination.pictures import decode_pixels, picture_processor
from hf_crossspec.methods.hallucination.quality import psnr, ssim
from hf_crossspec.methods.hallucination.train import load_training_and_evaluation, train_hallucinator
from hf_crossspec.methods.low_rank.config import LowRankArguments
from hf_crossspec.methods.low_rank.fit import fit_low_rank

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(highlight=False, soft_wrap=True)
Report = dict[str, Any]
ALPHAS = [number / 10 for number in range(11)]
PAPER_ALPHA = 0.6
SHOWN = ("rank_1", "tar_at_fmr_1e-2", "tar_at_fmr_1e-3", "eer")
SHEET_SUBJECTS = 8


@dataclass(frozen=True)
class Experiment:
    """What is measured, and where.

    Args:
        folder: Of everything made.
        base: The recogniser, which knows visible light only.
        faces: Data set of which the recognition is measured on the split test.
        aligned: Data set whose split test shows both modalities aligned, for the picture quality.
        modality: The other modality.
        validation: Subjects of the split train of `faces` by whom alpha is chosen; no network was trained on them.
    """

    folder: Path
    base: Path
    faces: Path
    aligned: Path
    modality: str
    validation: list[str]

    @property
    def hallucinator(self) -> Path:
        return self.folder / "hallucinator"

    @property
    def hallucinated(self) -> Path:
        """`faces`, both splits, with the pictures of `modality` hallucinated."""
        return self.folder / "faces-hallucinated"


@app.command()
def simulated(
    base: Annotated[Path, typer.Argument(help="Recogniser: a model folder, as the embedded edgeface-nano.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for everything made.")],
    subjects: Annotated[int, typer.Option(help="People to train on; a sixth of them chooses.")] = 300,
    test_subjects: Annotated[int, typer.Option(help="Other people to test on.")] = 200,
    epochs: Annotated[int, typer.Option(help="Epochs of each network.")] = 60,
    modality: Annotated[str, typer.Option(help="nir-sim, thermal-sim or sketch-sim.")] = "nir-sim",
) -> None:
    """Train on whole pictures of SpectralFaces that are aligned to the pixel.

    Recognition is measured as in the quickstart: two visible pictures a person are enrolled, the probes have poses,
    expressions and light of their own.
    """
    quiet_libraries()
    aligned, faces = output_dir / "aligned", output_dir / "faces"
    both = ("vis", modality)
    if not aligned.exists():
        write_spectralfaces(aligned, subjects, test_subjects, 3, both, aligned=True)
    if not faces.exists():
        write_spectralfaces(faces, subjects, test_subjects, 2, both, aligned=False)
    args = HallucinationArguments(
        data=str(aligned), modality=modality, output_dir=str(output_dir / "hallucinator"), resume=True,
        epochs=epochs, picture_crop=64, learning_rate=2e-3, evaluate_every=4,
    )  # fmt: skip
    measure(Experiment(output_dir, base, faces, aligned, modality, train(args)))


@app.command()
def sketches(
    checkpoint: Annotated[Path, typer.Argument(help="Published EdgeFace checkpoint.")],
    cufs: Annotated[Path, typer.Argument(help="CUFS student pictures, splits train and test.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for everything made.")],
    epochs: Annotated[int, typer.Option(help="Epochs of each network.")] = 10,
    stride: Annotated[int | None, typer.Option(help="Pixels between mined windows; default 6.")] = None,
) -> None:
    """Train on patches mined from photos and sketches, which are aligned by their eyes only."""
    quiet_libraries()
    base, faces, patches = output_dir / "model", output_dir / "cufs", output_dir / "patches"
    if not base.exists():
        convert_checkpoint(checkpoint, base, "cc-by-nc-sa-4.0")
    if not faces.exists():
        prepare_pictures(cufs, faces, ("train", "test"), eyes=[[75, 125], [125, 125]])
    if not patches.exists():
        mined = mine_patches(faces, patches, "sketch", "train", MiningSettings(stride=stride))
        console.print(f"{mined.patches:,} patches of {mined.counts['tested']:,} windows: {mined.counts}")
    args = HallucinationArguments(
        data=str(patches), modality="sketch", output_dir=str(output_dir / "hallucinator"), resume=True,
        epochs=epochs, batch_size=64, learning_rate=2e-3, evaluate_every=4,
    )  # fmt: skip
    measure(Experiment(output_dir, base, faces, faces, "sketch", train(args)))


def train(args: HallucinationArguments) -> list[str]:
    """Train the three networks; returns the subjects that chose their best weights."""
    run = train_hallucinator(args)
    for name, best in run.best.items():
        console.print(f"{name}: least mean squared error {best['value']:.5f} at step {best['step']}")
    return sorted(set(load_training_and_evaluation(args)[1].subjects))


def measure(experiment: Experiment) -> None:
    """Everything after the training: alpha, quality, recognition, pictures; writes results.json."""
    sweeps = {name: sweep_alpha(experiment, name) for name in ("validation", "test")}
    alpha = min(sweeps["validation"], key=lambda entry: (entry["eer"], entry["alpha"]))["alpha"]
    results: Report = {"alpha": alpha, "sweeps": sweeps}
    results["quality"] = measure_quality(experiment, alpha)
    if not experiment.hallucinated.exists():
        hallucinate_faces(
            experiment.hallucinator, experiment.faces, experiment.hallucinated, experiment.modality, ("train", "test"),
            alpha,
        )  # fmt: skip
    results["recognition"] = {
        name: evaluate_model(experiment.base, split="test", gallery_modality="vis", **system)[0]
        for name, system in systems(experiment).items()
    }
    write_json(experiment.folder / "results.json", results)
    draw_sweep(experiment.folder / "alpha.png", sweeps, experiment.modality)
    print_tables(results, experiment)


def systems(experiment: Experiment) -> dict[str, Report]:
    """What `evaluate_model` is given for each column of the table "neither, hallucination, low-rank, both".

    The low-rank embeddings are fitted to the split train of the data set that they are measured on. Its hallucinated
    pictures are of the people that the networks were trained on, as in the paper.
    """
    raw: Report = {"data": experiment.faces, "probe_modality": experiment.modality}
    hallucinated: Report = {"data": experiment.hallucinated, "probe_modality": made_from(experiment.modality)}
    return {
        "neither": raw,
        "hallucination": hallucinated,
        "low-rank": raw | {"low_rank": fit(experiment, "low-rank", **raw)},
        "both": hallucinated | {"low_rank": fit(experiment, "low-rank-hallucinated", **hallucinated)},
    }


def fit(experiment: Experiment, name: str, data: Path, probe_modality: str) -> Path:
    """A low-rank embedding with the default arguments; returns its folder."""
    folder = experiment.folder / name
    if not folder.exists():
        args = LowRankArguments(
            model=str(experiment.base), data=str(data), target_modality=probe_modality, output_dir=str(folder)
        )
        fitted = fit_low_rank(args)
        console.print(f"{name}: {fitted.iterations} iterations on {fitted.pictures:,} pictures")
    return folder


def sweep_alpha(experiment: Experiment, people: str) -> list[Report]:
    """Recognition of hallucinated probes for each alpha (Figure 7 of the paper), by `validation` or `test` subjects."""
    faces = load_faces(experiment.faces, "train" if people == "validation" else "test")
    subjects, modalities = np.array(faces["subject_id"]), np.array(faces["modality"])
    chosen = np.isin(modalities, ("vis", experiment.modality))
    if people == "validation":
        chosen &= np.isin(subjects, experiment.validation)
    faces = faces.select(np.flatnonzero(chosen))
    subjects, probes = subjects[chosen], modalities[chosen] != "vis"
    embedder, model = FaceEmbedder.from_pretrained(experiment.base), load_hallucinator(experiment.hallucinator)
    embeddings = embedder.embed_dataset(faces).values
    pixels = read_pixels(faces.select(np.flatnonzero(probes)))
    entries = []
    for alpha in ALPHAS:
        pictures = [Image.fromarray(picture) for picture in hallucinate_pixels(model, pixels, alpha)]
        embeddings[probes] = np.concatenate([embedder.embed_images(part) for part in batches_of(pictures, 64)])
        matrix = compare_modalities(embeddings, subjects, modalities[chosen], "vis", experiment.modality)
        metrics = evaluate_comparisons(matrix)["metrics"]
        values = {name: metrics[name]["value"] for name in SHOWN}
        intervals = {name: [metrics[name]["low"], metrics[name]["high"]] for name in SHOWN}
        entries.append({"alpha": alpha, **values, "intervals": intervals, "probes": int(probes.sum())})
    return entries


def read_pixels(faces: Dataset) -> list[torch.Tensor]:
    """Pictures (3, H, W) in [0, 255]."""
    return [decode_pixels(row["image"], "picture", picture_processor()) for row in faces]


def batches_of(items: list[Any], size: int) -> Iterable[list[Any]]:
    """Slices of a list."""
    return (items[start : start + size] for start in range(0, len(items), size))


def measure_quality(experiment: Experiment, alpha: float) -> Report:
    """PSNR and SSIM against the true visible picture of each test picture, and the sheet of some of them."""
    pairs = load_pairs(experiment.aligned, "test", experiment.modality)
    model = load_hallucinator(experiment.hallucinator)
    truth = pairs.visible.permute(0, 2, 3, 1).numpy()
    pixels = list(pairs.pictures.float())
    pictures = {f"replicated {experiment.modality}": pairs.pictures.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()}
    for value in dict.fromkeys((0.0, alpha, PAPER_ALPHA)):
        pictures[f"hallucinated, alpha {value:g}"] = np.stack(hallucinate_pixels(model, pixels, value))
    draw_sheet(experiment.folder / "sheet.png", pairs, [*pictures.values()][:3], truth)
    return {
        name: {
            measure.__name__: mean_over_subjects(
                np.array([measure(*both) for both in zip(made, truth, strict=True)]), pairs.subjects
            )
            for measure in (psnr, ssim)
        }
        for name, made in pictures.items()
    }


def mean_over_subjects(values: np.ndarray, subjects: np.ndarray, draws: int = 2000) -> Report:
    """Mean of one value a picture, with a 95 % interval by drawing subjects with replacement."""
    _, codes = np.unique(subjects, return_inverse=True)
    sums, counts = np.bincount(codes, values), np.bincount(codes)
    drawn = np.random.default_rng(0).integers(len(counts), size=(draws, len(counts)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return {"value": values.mean(), "low": low, "high": high, "pictures": len(values), "subjects": len(counts)}


def draw_sheet(path: Path, pairs: SpectralPairs, pictures: list[np.ndarray], truth: np.ndarray) -> None:
    """Unseen subjects, a column each: the input, hallucinated without and with blending, and the true picture."""
    first = np.sort(np.unique(pairs.subjects, return_index=True)[1])[:SHEET_SUBJECTS]
    save_sheet(path, np.concatenate([np.concatenate(list(row[first]), axis=1) for row in (*pictures, truth)]))


def draw_sweep(path: Path, sweeps: dict[str, list[Report]], modality: str) -> None:
    """Rank-1 and EER over alpha, with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=130, layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, 2), (("rank_1", "Rank-1, %"), ("eer", "EER, %")), strict=True):
        for people, entries in sweeps.items():
            low, high = (100 * np.array([entry["intervals"][name][side] for entry in entries]) for side in (0, 1))
            values = [100 * entry[name] for entry in entries]
            axes.plot(ALPHAS, values, marker="o", label=f"{people} ({entries[0]['probes']:,} probes)")
            axes.fill_between(ALPHAS, low, high, alpha=0.15)
        axes.set(xlabel="alpha", ylabel=label, title=f"{modality}, hallucinated, against vis")
        axes.legend()
    figure.savefig(path)


def print_tables(results: Report, experiment: Experiment) -> None:
    """As Markdown: quality, and recognition with 95 % intervals in per cent."""
    console.print(f"alpha chosen on {len(experiment.validation)} validation subjects: {results['alpha']}")
    console.print("| test pictures against true vis | PSNR, dB | SSIM | pictures |\n|---|---|---|---|")
    for name, quality in results["quality"].items():
        cells = [f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for each in quality.values()]
        console.print(f"| {name} | {' | '.join(cells)} | {quality['psnr']['pictures']:,} |")
    names = list(results["recognition"])
    console.print(f"| {experiment.modality} to vis | {' | '.join(names)} |\n{'|---' * (len(names) + 1)}|")
    for metric in SHOWN:
        cells = [with_interval(results["recognition"][name]["metrics"][metric]) for name in names]
        console.print(f"| {metric} | {' | '.join(cells)} |")


def with_interval(metric: dict[str, float]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.1f} [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"


if __name__ == "__main__":
    app()
