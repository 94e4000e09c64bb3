"""The folder of a training run: who owns it, where it stands, and its log.

run.json        arguments and fingerprints the run was started with
log.jsonl       a line per optimiser step and per evaluation
checkpoint.pt   the last checkpoint, replaced in one rename
best/           the product at the best evaluation
result.json     written when the run is complete
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from hf_crossspec.errors import InputError
from hf_crossspec.files import read_json, refuse_foreign_directory, replacing_file, write_json


class RunFolder:
    """Claims and keeps the folder of one run. All writing is the main process's."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.log_path = self.path / "log.jsonl"
        self.checkpoint_path = self.path / "checkpoint.pt"
        self.best_path = self.path / "best"
        self.result_path = self.path / "result.json"

    def check(self, identity: dict[str, Any], resume: bool) -> None:
        """Raise `InputError` unless the folder is new, empty, or with `resume` holds the run of this identity."""
        run_path = self.path / "run.json"
        if not run_path.exists():
            refuse_foreign_directory(self.path)
            return
        if not resume:
            raise InputError(f"{self.path} holds another run: add --resume to go on with it, or give a new folder")
        started = read_json(run_path)
        changed = [name for name in sorted(identity.keys() | started.keys()) if identity.get(name) != started.get(name)]
        if changed:
            what = ", ".join(f"{name} ({started.get(name)} then, {identity.get(name)} now)" for name in changed)
            raise InputError(f"{self.path} cannot be resumed, the run differs in {what}")

    def claim(self, identity: dict[str, Any]) -> None:
        """Take the folder for a run; its identity is written once."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "run.json").exists():
            write_json(self.path / "run.json", identity)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old or the new one, whole."""
        with replacing_file(self.checkpoint_path) as temporary:
            torch.save(state, temporary)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, or `None` before the first."""
        if not self.checkpoint_path.exists():
            return None
        return torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to the log."""
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def rewind_log(self, step: int) -> None:
        """Drop what was logged after `step`: those steps are about to be done again."""
        if not self.log_path.exists():
            return
        kept = []
        for line in self.log_path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the line a kill cut short
                continue
            if entry["step"] <= step:
                kept.append(line + "\n")
        with replacing_file(self.log_path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
            os.utime(temporary)
