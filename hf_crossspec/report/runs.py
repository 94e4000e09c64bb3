"""What a run is, and what its folder already says: which model, which data, which modalities.

A run is an adapter: the folder of a training run, any other adapter folder, or a Hub id. The folder of a training run
also holds run.json, from which everything that is not given is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_crossspec.errors import InputError
from hf_crossspec.files import read_json, sha256_of
from hf_crossspec.hub.source import adapter_folder

UNADAPTED = "unadapted"


@dataclass(frozen=True)
class Run:
    """An adapter and what its training left on record.

    Args:
        adapter: Folder or Hub id, as given.
        folder: The same as a local folder.
        label: Its name in tables and figures, unlike every other label of the report.
        training: Content of run.json; `None` without one.
        base: The model it was trained on, where that is known.
    """

    adapter: str
    folder: Path
    label: str
    training: dict[str, Any] | None
    base: str | None

    @property
    def trained_subjects_known(self) -> bool:
        """Whether the folder tells (as hashes) whom the adapter was trained on."""
        record = Path(self.adapter) / "result.json"
        return record.is_file() and "trained_subjects" in read_json(record)

    def describe(self) -> dict[str, Any]:
        """The adapter's file and its training, for the report."""
        weights = self.folder / "adapter_model.safetensors"
        return {
            "adapter_bytes": weights.stat().st_size,
            "adapter_sha256": sha256_of(weights),
            "training": self.training,
        }


@dataclass(frozen=True)
class Plan:
    """What is measured: systems, pictures and who is compared with whom.

    Args:
        runs: The adapters.
        model: The model below all of them.
        data: The pictures.
        gallery_modality: Modality of the enrolled pictures.
        probe_modalities: Modalities to recognise.
        retention: Whether to add the gallery's own modality to the probes where the pictures allow it.
    """

    runs: tuple[Run, ...]
    model: str
    data: str
    gallery_modality: str
    probe_modalities: tuple[str, ...]
    retention: bool


def plan_report(
    runs: Sequence[str | Path],
    model: str | Path | None = None,
    data: str | Path | None = None,
    gallery_modality: str | None = None,
    probe_modalities: Sequence[str] | None = None,
) -> Plan:
    """Fill in what is not given from the runs.

    The probes default to the modalities that the runs were trained for, and what the adapters kept of the gallery's own
    modality is then measured too.

    Raises:
        InputError: no run, one that is not an adapter, the same one twice, or runs that leave a choice open.
    """
    if not runs:
        raise InputError("give at least one run: the folder of a training run, or an adapter")
    names = [str(run) for run in runs]
    if len({Path(name).resolve() for name in names}) < len(names):
        raise InputError("a run is given twice")
    read = tuple(read_run(name, label) for name, label in zip(names, _labels(names), strict=True))
    if probe_modalities is None:
        targets = [
            run.training["target_modality"] for run in read if run.training and "target_modality" in run.training
        ]
        if not targets:
            raise InputError("the runs do not say what they were trained for: give --probe-modality")
    else:
        targets = [name.strip() for name in probe_modalities]
        if not all(targets):
            raise InputError("--probe-modality needs names, separated by commas")
    return Plan(
        runs=read,
        model=str(model) if model is not None else _agreed((run.base for run in read), "model"),
        data=str(data) if data is not None else _agreed(_recorded(read, "data"), "data"),
        gallery_modality=gallery_modality or _agreed(_recorded(read, "source_modality"), "gallery-modality"),
        probe_modalities=tuple(dict.fromkeys(targets)),
        retention=probe_modalities is None,
    )


def read_run(adapter: str, label: str) -> Run:
    """Read an adapter's configuration and the record of its training.

    Raises:
        InputError: not an adapter, or a training run that did not end yet.
    """
    record = Path(adapter) / "run.json"
    if record.is_file() and not (Path(adapter) / "adapter_config.json").is_file():
        raise InputError(f"{adapter} is a training run that is not complete: go on with crossspec train --resume")
    folder = adapter_folder(adapter)
    training = read_json(record) if record.is_file() else None
    if not isinstance(training, dict | None):
        raise InputError(f"{record} is not the record of a training run")
    base = (training or {}).get("base") or read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    return Run(adapter, folder, label, training, base)


def refuse_other_base(run: Run, base_sha256: str, model: str) -> None:
    """Raise `InputError` when a run recorded other base weights than those it would be put on."""
    trained_on = (run.training or {}).get("base_sha256", base_sha256)
    if trained_on != base_sha256:
        raise InputError(
            f"{run.adapter} was trained on weights {trained_on[:12]}, but {model} has {base_sha256[:12]}: "
            "give its own base with --model"
        )


def _labels(names: Sequence[str]) -> list[str]:
    """The last part of each name, or the whole name where that is not unique."""
    short = [Path(name).name or name for name in names]
    taken = [*short, UNADAPTED]
    return [label if taken.count(label) == 1 else name for label, name in zip(short, names, strict=True)]


def _recorded(runs: Iterable[Run], what: str) -> Iterable[str | None]:
    return ((run.training or {}).get(what) for run in runs)


def _agreed(values: Iterable[str | None], option: str) -> str:
    known = list(dict.fromkeys(value for value in values if value))
    if len(known) != 1:
        found = f"name several: {', '.join(known)}" if known else "do not say"
        raise InputError(f"which {option.replace('-', ' ')} to use is open, as the runs {found}; give --{option}")
    return known[0]
