"""What a run folder says, and what has to be given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf_crossspec.errors import InputError
from hf_crossspec.report import plan_report


def copied(run: Path, folder: Path, **changes: object) -> Path:
    """A copy of a run whose record says something else; `None` removes an entry."""
    shutil.copytree(run, folder)
    record = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps({name: value for name, value in record.items() if value is not None}))
    return folder


def test_a_run_folder_says_everything(run: Path, tiny_base: Path, tiny_pairs: Path) -> None:
    plan = plan_report([run])
    assert (plan.model, plan.data) == (str(tiny_base), str(tiny_pairs))
    assert (plan.gallery_modality, plan.probe_modalities, plan.retention) == ("vis", ("nir",), True)
    assert plan.runs[0].label == "nir-run" and plan.runs[0].trained_subjects_known


def test_options_override_the_record(run: Path) -> None:
    plan = plan_report([run], "m", "d", "nir", [" thermal", "vis ", "thermal"])
    assert (plan.model, plan.data, plan.gallery_modality) == ("m", "d", "nir")
    assert (plan.probe_modalities, plan.retention) == (("thermal", "vis"), False)


def test_an_adapter_without_a_record_needs_options(run: Path, tiny_base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(run / name, adapter)
    with pytest.raises(InputError, match="--probe-modality"):
        plan_report([adapter])
    with pytest.raises(InputError, match="do not say; give --data"):
        plan_report([adapter], probe_modalities=["nir"])
    plan = plan_report([adapter], data="d", gallery_modality="vis", probe_modalities=["nir"])
    assert plan.model == str(tiny_base)
    assert plan.runs[0].training is None and not plan.runs[0].trained_subjects_known


def test_several_runs_must_agree(run: Path, tmp_path: Path) -> None:
    other = copied(run, tmp_path / "other", target_modality="thermal", data="elsewhere")
    with pytest.raises(InputError, match=r"name several: .*elsewhere; give --data"):
        plan_report([run, other])
    assert plan_report([run, other], data="d").probe_modalities == ("nir", "thermal")
    with pytest.raises(InputError, match="which model to use is open"):
        plan_report([run, copied(run, tmp_path / "third", base="b")])


def test_labels_tell_runs_apart(run: Path, tmp_path: Path) -> None:
    same_name = copied(run, tmp_path / "nir-run")
    assert [entry.label for entry in plan_report([run, same_name]).runs] == [str(run), str(same_name)]
    misleading = copied(run, tmp_path / "unadapted")
    assert plan_report([misleading]).runs[0].label == str(misleading)


def test_what_is_no_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        plan_report([])
    with pytest.raises(InputError, match="twice"):
        plan_report([run, f"{run}/../{run.name}/"])
    with pytest.raises(InputError, match="nowhere"):
        plan_report([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="not an adapter folder"):
        plan_report([tmp_path])
    with pytest.raises(InputError, match="separated by commas"):
        plan_report([run], probe_modalities=["nir", ""])
    unfinished = copied(run, tmp_path / "unfinished")
    (unfinished / "adapter_config.json").unlink()
    with pytest.raises(InputError, match="not complete"):
        plan_report([unfinished])
    broken = copied(run, tmp_path / "broken")
    for content, message in (("[]", "not the record"), ("{", "not readable as JSON")):
        (broken / "run.json").write_text(content)
        with pytest.raises(InputError, match=message):
            plan_report([broken])
