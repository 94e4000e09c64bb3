"""Who may use a run's folder, and what a kill leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_crossspec import InputError
from hf_crossspec.files import new_directory, replacing_file, write_json
from hf_crossspec.training.run_folder import RunFolder

IDENTITY = {"epochs": 3, "seed": 0}


def test_new_and_empty_folders_are_free(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").check(IDENTITY, resume=False)
    RunFolder(tmp_path).check(IDENTITY, resume=True)


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="not empty"):
        RunFolder(tmp_path).check(IDENTITY, resume=True)


def test_a_run_is_only_resumed_as_itself(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.claim(IDENTITY)
    folder.check(IDENTITY, resume=True)
    with pytest.raises(InputError, match="--resume"):
        folder.check(IDENTITY, resume=False)
    with pytest.raises(InputError, match=r"seed \(0 then, 1 now\)"):
        folder.check({**IDENTITY, "seed": 1}, resume=True)


def test_the_log_is_rewound_to_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(1, 6):
        folder.log({"step": step})
    with folder.log_path.open("a") as file:
        file.write('{"step": 6, "lo')  # the line a kill cut short
    folder.rewind_log(3)
    folder.log({"step": 4})
    assert folder.log_path.read_text().count("\n") == 4
    assert '"lo' not in folder.log_path.read_text()


def test_failed_writes_leave_nothing_and_harm_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "kept.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "kept.json", {"a": float("nan")})
    with pytest.raises(RuntimeError), replacing_file(tmp_path / "file") as path:
        path.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_directory(tmp_path / "folder") as path:
        (path / "half").write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert (tmp_path / "kept.json").read_text() == '{\n  "a": 1\n}\n'
