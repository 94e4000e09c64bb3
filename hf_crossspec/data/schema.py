"""Every data set of faces in one form: a row per picture, with its subject and its modality.

Image level: columns `image`, `subject_id`, `modality`, optionally `key`, `session`, `camera`, `landmarks` and
attributes. Paired level: one picture column per modality (`vis`, `nir`, ...), `subject_id`, optionally `session`; it
is unfolded to image level on loading.
"""

from __future__ import annotations

from pathlib import Path

from datasets import (
    Dataset,
    DatasetDict,
    Features,
    Image,
    Value,
    concatenate_datasets,
    get_dataset_split_names,
    load_dataset,
    load_from_disk,
)
from datasets.exceptions import DatasetNotFoundError

from hf_crossspec.errors import InputError, one_line
from hf_crossspec.hub.source import is_repo_id, split_revision


def load_faces(source: str | Path | Dataset, split: str | None = None) -> Dataset:
    """Load faces at image level, pictures left undecoded.

    Args:
        source: A folder (`imagefolder` with metadata, Parquet files, or `Dataset.save_to_disk`), a .parquet file, a
            Hub data set id, or a `datasets.Dataset`.
        split: Which split; may be `None` where there is only one.

    Returns:
        A data set with at least `image` (undecoded), `subject_id` (string) and `modality` (string).

    Raises:
        InputError: nothing there, an unknown split, or columns that are not in the schema.
    """
    dataset = source if isinstance(source, Dataset) else load_source(str(source), split)
    name = "the data set" if isinstance(source, Dataset) else str(source)
    columns = set(dataset.column_names)
    if "subject_id" not in columns:
        raise InputError(f"{name} has no column subject_id; its columns are {', '.join(sorted(columns))}")
    if "image" not in columns:
        return _unfold_pairs(dataset, name)
    if "modality" not in columns:
        raise InputError(f"{name} has no column modality; add one that says vis, nir, thermal, sketch, ... per picture")
    return _normalise(dataset)


def split_names(source: str | Path) -> list[str]:
    """The splits of a folder, a .parquet file or a Hub data set.

    Raises:
        InputError: nothing readable there.
    """
    path = Path(source)
    return sorted(_load_local(path)) if path.exists() else sorted(_hub_splits(str(source)))


def load_source(source: str, split: str | None = None) -> Dataset:
    """A data set as it is stored, with whatever columns it has; sources and errors as for `load_faces`."""
    path = Path(source)
    if path.exists():
        splits = _load_local(path)
    elif is_repo_id(source):
        return _load_from_hub(source, split)
    else:
        raise InputError(f"{source} does not exist, and is not a Hub data set id of the form owner/name")
    return splits[_choose_split(list(splits), split, source)]


def _load_local(path: Path) -> DatasetDict:
    try:
        if path.is_file():
            if path.suffix != ".parquet":
                raise InputError(f"{path} is not a data set: give a folder, a .parquet file or a Hub id")
            return load_dataset("parquet", data_files=str(path))
        if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
            loaded = load_from_disk(str(path))
            return loaded if isinstance(loaded, DatasetDict) else DatasetDict({str(loaded.split or "train"): loaded})
        if any(path.rglob("*.parquet")):
            return load_dataset(str(path))
        return load_dataset("imagefolder", data_dir=str(path), drop_labels=True)
    except InputError:
        raise
    except Exception as error:  # the reader's own errors are many; each means that the files are not as they should be
        cause = error.__cause__ or error
        raise InputError(f"{path} is not readable as a data set of faces: {one_line(cause)}") from error


def _load_from_hub(source: str, split: str | None) -> Dataset:
    name, revision = split_revision(source)
    wanted = _choose_split(_hub_splits(source), split, source)
    try:
        return load_dataset(name, split=wanted, revision=revision)
    except Exception as error:  # as for local files
        raise InputError(f"{source} is not readable as a data set of faces: {one_line(error)}") from error


def _hub_splits(source: str) -> list[str]:
    name, revision = split_revision(source)
    try:
        return get_dataset_split_names(name, revision=revision)
    except (DatasetNotFoundError, ConnectionError, OSError, ValueError) as error:
        raise InputError(f"{source} is neither a local path nor a reachable Hub data set: {one_line(error)}") from error


def _choose_split(names: list[str], wanted: str | None, source: str) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    problem = "has several splits: choose one of" if wanted is None else f"has no split {wanted!r}; there are"
    raise InputError(f"{source} {problem} {', '.join(names)}")


def _unfold_pairs(dataset: Dataset, name: str) -> Dataset:
    """Paired level -> image level: the rows once per picture column, in the columns' order."""
    modalities = [column for column, feature in dataset.features.items() if isinstance(feature, Image)]
    if not modalities:
        raise InputError(f"{name} has no picture column: it needs `image` and `modality`, or one column per modality")
    parts = []
    for modality in modalities:
        others = [column for column in modalities if column != modality]
        part = dataset.remove_columns(others).rename_column(modality, "image")
        if "modality" in part.column_names:
            part = part.remove_columns("modality")
        parts.append(_normalise(part.add_column("modality", [modality] * len(part))))
    return concatenate_datasets(parts)


def _normalise(dataset: Dataset) -> Dataset:
    dataset = dataset.cast_column("image", Image(decode=False))  # copies nothing, as `cast` of other columns does
    features = Features(dataset.features)
    for column in ("subject_id", "modality"):
        features[column] = Value("string")
    dataset = dataset.cast(features) if dataset.features != features else dataset
    for column in ("subject_id", "modality"):
        empty = sum(value is None or value == "" for value in dataset[column])
        if empty:
            raise InputError(f"{empty} rows have an empty {column}: every picture needs one")
    return dataset
