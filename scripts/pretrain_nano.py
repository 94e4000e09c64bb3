"""Pretrain an EdgeFace on visible faces: by default the nano network on SpectralFaces, which show nobody.

    python scripts/pretrain_nano.py --output-dir nano --install
    python scripts/pretrain_nano.py --output-dir xs --config xs --data FACES --eval-data OTHER_FACES

The faces are rendered once, beside the run, from a seed of their own: the subjects that SpectralFaces shows by default,
train or test, are never trained on. A run that was killed goes on with --resume. Several processes:
`accelerate launch --multi_gpu scripts/pretrain_nano.py ...` with --data.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

import hf_crossspec
from hf_crossspec.cli.shared import command_from, console, name_skipped, quiet_libraries
from hf_crossspec.data.synthetic import load_spectralfaces, write_spectralfaces
from hf_crossspec.data.synthetic.render import MODALITIES
from hf_crossspec.errors import InputError, Interrupted
from hf_crossspec.evaluation.runner import evaluate_model
from hf_crossspec.files import copy_files, read_json, write_json
from hf_crossspec.methods.pretraining.train import PretrainingArguments, PretrainingResult, pretrain
from hf_crossspec.training.arguments import option

SPECTRALFACES = "spectralfaces"
ASSET = Path(hf_crossspec.__file__).parent / "assets" / "edgeface-nano"
MEASURED_SUBJECTS, MEASURED_IMAGES = 200, 5


@dataclass(kw_only=True)
class ScriptArguments(PretrainingArguments):
    """Pretraining, and the faces that are rendered for it."""

    data: str = option(
        SPECTRALFACES, f"A folder, .parquet file or Hub id of pictures with identities; or {SPECTRALFACES}."
    )
    subjects: int = option(4000, "SpectralFaces: people to train on.")
    images_per_subject: int = option(6, "SpectralFaces: pictures of each.")
    eval_subjects: int = option(100, "SpectralFaces: other people, to keep the best weights by.")
    faces_seed: int = option(1, "SpectralFaces: seed of people and conditions; at 0 are those that everybody tests on.")
    install: bool = option(False, "Put the result, with its measured figures, into the package as its nano EdgeFace.")
    margin: float | None = option(0.2, "Margin in [0, 1); for a network as small as nano less than the papers'.")
    scale: float = option(32.0, "Factor of the cosines before the softmax.")
    epochs: int = option(10, "Passes over the training data.")
    learning_rate: float = option(1.5e-3, "Highest learning rate of AdamW.")
    evaluate_every: int = option(
        10, "Epochs between two evaluations; rarely, so that the annealed last weights are kept."
    )


def main(args: ScriptArguments) -> None:
    """Pretrain an EdgeFace on visible faces, by default the nano network on SpectralFaces."""
    quiet_libraries()
    synthetic = args.data == SPECTRALFACES
    if args.install and not synthetic:
        raise InputError(f"--install is for weights trained on {SPECTRALFACES}, which may be shared freely")
    command = reproduction(args)
    if synthetic:
        args = with_rendered_faces(args, command)
    names = [field.name for field in fields(PretrainingArguments)]
    result = pretrain(PretrainingArguments(**{name: getattr(args, name) for name in names}))
    report(result, command)
    if args.install:
        install(result, args, command)
        console.print(f"installed: {ASSET}")


def reproduction(args: ScriptArguments) -> str:
    """The command that gives the same weights again: every argument that decides them and is not at its default."""
    words = ["python", "scripts/pretrain_nano.py", "--output-dir", Path(args.output_dir).name]
    for field in fields(args):
        value, name = getattr(args, field.name), "--" + field.name.replace("_", "-")
        passing = ("output_dir", "resume", "install", "workers", "tracker", "checkpoint_every")
        if value == field.default or field.name in passing:
            continue
        if isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-", 1))
        else:
            words += [name, str(value)]
    return shlex.join(words)


def with_rendered_faces(args: ScriptArguments, command: str) -> ScriptArguments:
    """Render SpectralFaces beside the run, unless they are there already, and train on them."""
    folder = Path(f"{args.output_dir}-faces")
    recipe = {"subjects": args.subjects, "images_per_subject": args.images_per_subject,
              "eval_subjects": args.eval_subjects, "faces_seed": args.faces_seed}  # fmt: skip
    recipe_path = Path(f"{folder}.json")
    if not folder.exists():
        write_json(recipe_path, recipe)
        console.print(f"rendering {(args.subjects + args.eval_subjects) * args.images_per_subject:,} faces")
        write_spectralfaces(
            folder, args.subjects, args.eval_subjects, args.images_per_subject, ("vis",), seed=args.faces_seed
        )
    elif read_json(recipe_path) != recipe:
        raise InputError(f"{folder} holds other faces than these arguments ask for: give a new --output-dir")
    return replace(
        args, data=str(folder), split="train", eval_data=str(folder), eval_split="test",
        weights_license=args.weights_license or "apache-2.0",
        weights_source=args.weights_source or f"SpectralFaces (rendered faces of nobody): {command}",
    )  # fmt: skip


def report(result: PretrainingResult, command: str) -> None:
    """What was made of what, and how to make it again."""
    name_skipped(result.skipped)
    console.print(
        f"{result.parameters:,} parameters trained on {result.pictures:,} pictures of {result.subjects:,} subjects "
        f"in {result.steps:,} steps ({result.seconds:.0f} s)"
    )
    if result.best is not None:
        console.print(f"best evaluation at step {result.best['step']}: EER {100 * result.best['value']:.2f} %")
    console.print(f"model: {result.model_dir}\nthe same again: {command}", soft_wrap=True)


def install(result: PretrainingResult, args: ScriptArguments, command: str) -> None:
    """Measure the model and make it the package's nano EdgeFace, with a README that says what it is."""
    rows = [measured_row(result.model_dir, modality) for modality in MODALITIES]
    weights = result.model_dir / "model.safetensors"
    text = README.format(
        parameters=result.parameters, megabytes=weights.stat().st_size / 1e6, pictures=result.pictures,
        subjects=result.subjects, steps=result.steps, seed=args.seed, faces_seed=args.faces_seed, command=command,
        version=hf_crossspec.__version__, measured_subjects=MEASURED_SUBJECTS, measured_images=MEASURED_IMAGES,
        rows="\n".join(rows),
    )  # fmt: skip
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("config.json", "preprocessor_config.json"):
            content = read_json(result.model_dir / part)
            content.pop("auto_map", None)  # would point to code files; here the package is the code
            write_json(folder / part, content)
        shutil.copyfile(weights, folder / weights.name)
        (folder / "README.md").write_text(text, encoding="utf-8")
        ASSET.mkdir(parents=True, exist_ok=True)
        copy_files(folder, ASSET)


def measured_row(model: Path, modality: str) -> str:
    """A line of the README's table: pictures of `modality` against visible ones, on people that nobody trains on."""
    modalities = tuple(dict.fromkeys(("vis", modality)))
    faces = load_spectralfaces("test", MEASURED_SUBJECTS, MEASURED_IMAGES, modalities, aligned=False)
    result, _ = evaluate_model(model, faces, gallery_modality="vis", probe_modality=modality)
    cells = [cell(result["metrics"][name]) for name in ("rank_1", "eer", "tar_at_fmr_1e-3")]
    return f"| {modality} | {result['metrics']['rank_1']['n']:,} | {' | '.join(cells)} |"


def cell(metric: dict[str, Any]) -> str:
    """Value and 95 % interval in per cent."""
    return f"{100 * metric['value']:.2f} [{100 * metric['low']:.2f}, {100 * metric['high']:.2f}]"


README = """\
---
license: apache-2.0
library_name: transformers
---
# EdgeFace nano

The smallest EdgeFace: {parameters:,} parameters, {megabytes:.1f} MB in float32. It ships inside `hf_crossspec` so that
everything can be tried without any other weights or pictures. It knows rendered faces only: for people, convert a
published EdgeFace (`crossspec convert`).

- Licence: Apache-2.0, weights included.
- Trained on {pictures:,} visible SpectralFaces of {subjects:,} subjects, which the package renders itself. No picture
  of a real person was used, and none of another spectrum.
- {steps:,} steps with seed {seed}, hf_crossspec {version}; the faces have seed {faces_seed}. The command:

```
{command}
```

## Measured

On {measured_subjects} test subjects of SpectralFaces (seed 0, never trained on), {measured_images} pictures of each
subject and modality, every one in a pose, expression and light of its own. The network as it is, without any adapter.
Gallery: visible, one template of all a subject's pictures; where the probes are visible too, the subject's first
picture. In per cent, with 95 % intervals.

| probes | number | Rank-1 | EER | TAR at FMR 0.1 % |
|---|---|---|---|---|
{rows}
"""


app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
app.command()(command_from(ScriptArguments)(main))

if __name__ == "__main__":
    try:
        app()
    except (InputError, Interrupted) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, InputError) else 143)
