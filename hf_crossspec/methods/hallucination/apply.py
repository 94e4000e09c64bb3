"""Apply a hallucinator: to arrays, to a picture, or to a data set whose other modalities stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage
from transformers import AutoModel

from hf_crossspec.data.images import BadImageError
from hf_crossspec.data.pixels import require_modality
from hf_crossspec.data.prepare import as_png
from hf_crossspec.data.schema import load_faces
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.evaluation.runner import shared_subjects
from hf_crossspec.files import new_directory, read_json, replacing_file
from hf_crossspec.hub.source import split_revision
from hf_crossspec.methods.hallucination.auto import CrossSpectralHallucinator
from hf_crossspec.methods.hallucination.pictures import as_uint8, decode_pixels, picture_processor


def load_hallucinator(name: str | Path) -> CrossSpectralHallucinator:
    """A hallucinator from a folder or a Hub id (`owner/name@revision`), in float32, without running foreign code.

    Raises:
        InputError: nothing to load there, or another kind of model.
    """
    source, revision = split_revision(name)
    if Path(source).exists() and not (Path(source) / "config.json").is_file():
        raise InputError(
            f"{source} is not a model folder (no config.json): train one with `crossspec hallucinate train`"
        )
    try:
        model: Any = AutoModel.from_pretrained(
            source, revision=revision or "main", dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{source} is not loadable as a model: {one_line(error)}") from error
    if not isinstance(model, CrossSpectralHallucinator):
        raise InputError(
            f"{source} is a model of type {model.config.model_type}: a cross-spectral hallucinator is needed"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hallucinator: Any = model
    return hallucinator.to(device, memory_format=torch.channels_last).eval()


@torch.inference_mode()
def hallucinate_pixels(
    model: CrossSpectralHallucinator, pixels: Sequence[torch.Tensor], alpha: float | None = None, batch_size: int = 16
) -> list[np.ndarray]:
    """Pictures (C, H, W) in [0, 255], one or three channels and any sizes -> visible ones (H, W, 3) uint8."""
    results: list[np.ndarray] = [np.empty(0)] * len(pixels)
    for numbers in _of_equal_size(pixels, batch_size):
        batch = torch.stack([pixels[number] for number in numbers]).to(model.device) / 127.5 - 1
        visible = model(pixel_values=batch, alpha=alpha).pixel_values.permute(0, 2, 3, 1).float().cpu().numpy()
        for number, picture in zip(numbers, visible, strict=True):
            results[number] = as_uint8(picture * 127.5 + 127.5)
    return results


def _of_equal_size(pixels: Sequence[torch.Tensor], batch_size: int) -> Iterator[list[int]]:
    groups: dict[torch.Size, list[int]] = {}
    for number, picture in enumerate(pixels):
        groups.setdefault(picture.shape, []).append(number)
    for numbers in groups.values():
        for start in range(0, len(numbers), batch_size):
            yield numbers[start : start + batch_size]


def hallucinate_picture(
    model: CrossSpectralHallucinator, source: Path, target: Path, alpha: float | None = None
) -> None:
    """Hallucinate one picture file; written in the format that the target's suffix says.

    Raises:
        InputError: unreadable, or a suffix that is no picture format.
    """
    pixels = decode_pixels(source, str(source), picture_processor())
    if target.suffix.lower() not in PILImage.registered_extensions():
        raise InputError(f"{target} does not end as a picture does: .png for instance")
    picture = PILImage.fromarray(hallucinate_pixels(model, [pixels], alpha)[0])
    with replacing_file(target) as temporary:
        picture.save(temporary)


@dataclass
class HallucinatedSplit:
    """What became of one split.

    Args:
        hallucinated, passed: Pictures hallucinated, and passed through.
        subjects_trained_on: How many of the hallucinated subjects the model's record of training names.
        skipped: One line for each picture that could not be read.
    """

    hallucinated: int = 0
    passed: int = 0
    subjects_trained_on: int = 0
    skipped: list[str] = field(default_factory=list)


def hallucinate_faces(
    model_name: str | Path,
    source: str | Path | Dataset,
    output_dir: str | Path,
    modality: str,
    splits: Sequence[str | None] = (None,),
    alpha: float | None = None,
    skip_bad: bool = False,
    batch_size: int = 16,
) -> dict[str, HallucinatedSplit]:
    """Write a data set in which the pictures of one modality are hallucinated visible ones.

    They keep their keys, subjects and other columns; their modality is `vis-from-<modality>`. The pictures of the
    other modalities are passed through unchanged, to the byte.

    Args:
        model_name: As `load_hallucinator` takes it.
        source: As `load_faces` takes it.
        output_dir: New or empty folder; gets a Parquet file a split.
        splits: Which splits; `(None,)` for the only one, which is written as `train`.
        alpha: Blending instead of the model's own, in [0, 1].

    Raises:
        InputError: unusable input, or a bad picture without `skip_bad`.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise InputError(f"alpha must lie in [0, 1], not {alpha}")
    model = load_hallucinator(model_name)
    record = Path(model_name) / "result.json"
    trained = read_json(record).get("trained_subjects", []) if record.is_file() else []
    report = {}
    with new_directory(output_dir) as folder:
        for split in splits:
            faces = load_faces(source, split)
            require_modality(faces["modality"][:], modality)
            part = HallucinatedSplit()
            rows = list(_rows(model, faces, modality, alpha, skip_bad, batch_size, part))
            if not part.hallucinated:
                raise InputError(f"{source} has no readable picture of {modality}")
            Dataset.from_list(rows, features=Features({**faces.features, "image": Image()})).to_parquet(
                str(folder / f"{split or 'train'}-00000-of-00001.parquet")
            )
            hallucinated = [row["subject_id"] for row in rows if row["modality"] == made_from(modality)]
            part.subjects_trained_on = len(shared_subjects(hallucinated, trained))
            report[split or "train"] = part
    return report


def made_from(modality: str) -> str:
    """The modality of visible pictures that were hallucinated from another one."""
    return f"vis-from-{modality}"


def _rows(
    model: CrossSpectralHallucinator,
    faces: Dataset,
    modality: str,
    alpha: float | None,
    skip_bad: bool,
    batch_size: int,
    part: HallucinatedSplit,
) -> Iterator[dict[str, Any]]:
    """The rows of a data set in their order, `batch_size` at a time; `part` counts them."""
    processor = picture_processor()
    for start in range(0, len(faces), batch_size):
        rows, pixels = [], []
        for number, row in enumerate(faces.select(range(start, min(start + batch_size, len(faces)))), start=start):
            if row["modality"] == modality:
                try:
                    pixels.append(decode_pixels(row["image"] or {}, str(row.get("key") or f"row {number}"), processor))
                except BadImageError as error:
                    if not skip_bad:
                        raise BadImageError(f"{error} (or leave bad pictures out with --skip-bad)") from None
                    part.skipped.append(str(error))
                    continue
            rows.append(row)
        pictures = iter(hallucinate_pixels(model, pixels, alpha, batch_size))
        part.hallucinated += len(pixels)
        part.passed += len(rows) - len(pixels)
        for row in rows:
            if row["modality"] != modality:
                yield row
                continue
            name = f"{Path(str(row.get('key') or (row['image'] or {}).get('path') or 'picture')).stem}.png"
            content = as_png(PILImage.fromarray(next(pictures)))
            yield {**row, "image": {"bytes": content, "path": name}, "modality": made_from(modality)}
