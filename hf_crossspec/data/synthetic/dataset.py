"""SpectralFaces as a `datasets.Dataset`: one row per picture and modality, in the schema of data/schema.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
from datasets import Array2D, Dataset, Features, Image, Value

from hf_crossspec.data.synthetic.identity import ATTRIBUTES, SPLITS, draw_identity, split_code
from hf_crossspec.data.synthetic.nuisance import draw_nuisance
from hf_crossspec.data.synthetic.render import MODALITIES, make_scene, render_scene
from hf_crossspec.errors import InputError
from hf_crossspec.files import new_directory

VERSION = 1  # part of the cache's key; raise it with every change of a picture
FEATURES = Features(
    {
        "image": Image(),
        "subject_id": Value("string"),
        "modality": Value("string"),
        "key": Value("string"),
        "session": Value("string"),
        "landmarks": Array2D((68, 2), "float32"),
        **{name: Value("bool") for name in ATTRIBUTES},
    }
)

# Goes with a written data set; the tag tells that the pictures show nobody.
CARD = """---
license: apache-2.0
tags:
- synthetic
---

# SpectralFaces

Rendered by the SpectralFaces generator of hf_crossspec (version {version}, seed {seed}) in {modalities};
a name that ends in -sim is a simulated spectrum. Nobody is depicted, and no picture of a person was used.
"""


def load_spectralfaces(
    split: str = "train",
    subjects: int = 200,
    images_per_subject: int = 4,
    modalities: Sequence[str] = ("vis", "nir-sim"),
    aligned: bool = True,
    seed: int = 0,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Rendered faces with ground truth, made on the first call and read from the cache of `datasets` afterwards.

    Args:
        split: `train` or `test`; they share no subject.
        subjects: How many people, at least 1; the first of a split are the same whatever the number.
        images_per_subject: How many conditions (pose, expression, light) per person, at least 1.
        modalities: Of `vis`, `nir-sim`, `thermal-sim`, `sketch-sim`; each condition is rendered in all of them.
        aligned: The modalities of a condition show the same pose and expression, pixel by pixel; otherwise each has
            its own.
        seed: Of people and conditions, at least 0.
        cache_dir: Instead of the default cache.

    Returns:
        Columns image (112 x 112 RGB PNG), subject_id, modality, key, session (number of the condition), landmarks
        (68 x 2 float32 pixels, iBUG order, the middle of the first pixel is 0) and one boolean column per attribute.

    Raises:
        InputError: an unknown split or modality, or numbers out of range.

    Example:
        >>> faces = load_spectralfaces("test", subjects=2, images_per_subject=1)
        >>> faces["modality"]
        ['vis', 'nir-sim', 'vis', 'nir-sim']
    """
    modalities = _checked(split, subjects, images_per_subject, modalities, seed)
    recipe = {
        "split": split,
        "subjects": subjects,
        "images_per_subject": images_per_subject,
        "modalities": modalities,
        "aligned": bool(aligned),
        "seed": seed,
        "version": VERSION,
    }
    return Dataset.from_generator(
        _rows, features=FEATURES, cache_dir=None if cache_dir is None else str(cache_dir), gen_kwargs=recipe
    )


def write_spectralfaces(
    output_dir: str | Path,
    train_subjects: int = 200,
    test_subjects: int = 100,
    images_per_subject: int = 4,
    modalities: Sequence[str] = ("vis", "nir-sim"),
    aligned: bool = True,
    seed: int = 0,
) -> dict[str, int]:
    """Write both splits as Parquet into a new folder that `load_faces` and `datasets.load_dataset` read.

    Returns:
        The number of pictures per split.

    Raises:
        InputError: a folder that is not empty, or arguments that `load_spectralfaces` refuses.
    """
    counts = {}
    people = {"train": train_subjects, "test": test_subjects}
    for split in SPLITS:
        _checked(split, people[split], images_per_subject, modalities, seed)
    with new_directory(output_dir) as folder:
        for split in SPLITS:
            rows = list(_rows(split, people[split], images_per_subject, tuple(modalities), aligned, seed, VERSION))
            dataset = Dataset.from_list(rows, features=FEATURES)
            dataset.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
            counts[split] = len(dataset)
        (folder / "README.md").write_text(CARD.format(modalities=", ".join(modalities), seed=seed, version=VERSION))
    return counts


def _rows(
    split: str,
    subjects: int,
    images_per_subject: int,
    modalities: tuple[str, ...],
    aligned: bool,
    seed: int,
    version: int,
) -> Iterator[dict[str, Any]]:
    """Rows person by person, condition by condition, modality by modality; `version` only tells caches apart."""
    for subject in range(subjects):
        who = draw_identity(split, subject, seed)
        for image in range(images_per_subject):
            scene = make_scene(who, draw_nuisance(split, subject, image, seed=seed))
            for modality in modalities:
                if not aligned:
                    view = 1 + MODALITIES.index(modality)
                    scene = make_scene(who, draw_nuisance(split, subject, image, view, seed))
                _, png = cv2.imencode(".png", render_scene(scene, modality)[..., ::-1])
                yield {
                    "image": {"bytes": png.tobytes(), "path": None},
                    "subject_id": who.subject_id,
                    "modality": modality,
                    "key": f"{who.subject_id}-{image:03d}-{modality}",
                    "session": str(image),
                    "landmarks": scene.landmarks,
                    **who.attributes,
                }


def _checked(
    split: str, subjects: int, images_per_subject: int, modalities: Sequence[str], seed: int
) -> tuple[str, ...]:
    split_code(split)
    for name, number, least in (
        ("subjects", subjects, 1),
        ("images_per_subject", images_per_subject, 1),
        ("seed", seed, 0),
    ):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise InputError(f"{name} is {number!r}: it must be an integer of at least {least}")
    if isinstance(modalities, str) or not modalities or len(set(modalities)) != len(modalities):
        raise InputError(f"modalities is {modalities!r}: give a list of different names of {', '.join(MODALITIES)}")
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown:
        raise InputError(f"no modality {unknown[0]!r}; there are {', '.join(MODALITIES)}")
    return tuple(modalities)  # a list would be taken for shards
