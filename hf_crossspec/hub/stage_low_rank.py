"""What would be published of a low-rank embedding: one layer, its code, and a card that names the network before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_crossspec.adapters import load_adapters
from hf_crossspec.embedding import weights_fingerprint
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import FILE_NAME
from hf_crossspec.files import read_json
from hf_crossspec.hub.card import model_card
from hf_crossspec.hub.client import HubClient
from hf_crossspec.hub.evidence import collect_evidence, read_reports
from hf_crossspec.hub.licences import derived_licence
from hf_crossspec.hub.source import is_repo_id, split_revision
from hf_crossspec.hub.stage import Statement, calibration_of, inherited_licence, load_edgeface
from hf_crossspec.methods.low_rank.loading import load_low_rank

SHOWN_ARGUMENTS = ("source_modality", "target_modality", "shrinkage", "validation_folds", "seed")


def stage_low_rank(
    run: str | Path,
    repo_id: str,
    base: str | None,
    adapter: str | None,
    statement: Statement,
    folder: Path,
    client: HubClient,
) -> None:
    """A low-rank embedding with its code and a card that names base and adapter by Hub id and commit.

    Args:
        run: Folder that `crossspec lowrank fit` wrote.
        base, adapter: Hub ids of the network it was fitted for, perhaps with a revision; `None` takes those it was
            fitted with.

    Raises:
        InputError: no such run, a network that is not on the Hub or has other weights, a licence or a report that does
            not fit.
    """
    arguments, result = _record(Path(run))
    adapter = adapter or arguments["adapter"]
    base_id, base_commit = client.commit_of(base or arguments["model"])
    its_adapter = None if adapter is None else client.commit_of(adapter)
    edgeface, _ = load_edgeface(f"{base_id}@{base_commit}")
    parameters, config = edgeface.num_parameters(), edgeface.config
    licence = inherited_licence(edgeface, statement, client.licence_of(base_id, base_commit), base_id)
    network: Any = edgeface
    if its_adapter is not None:
        licence = derived_licence(client.licence_of(*its_adapter) or licence, statement.licence)
        network = load_adapters(edgeface, {"default": "@".join(its_adapter)})
    before = weights_fingerprint(network)
    layer = load_low_rank(run, before)
    own = weights_fingerprint(network, layer)
    evaluations = collect_evidence(read_reports(statement.reports), before, own)
    calibration = calibration_of(run, own)
    layer.config.weights_license = licence
    layer.save_pretrained(folder)
    if calibration:
        calibration.save(folder / FILE_NAME)
    facts = {name: arguments[name] for name in SHOWN_ARGUMENTS} | {
        "iterations": result["iterations"],
        "subjects": len(result["trained_subjects"]),
        "input_size": layer.config.input_size,
        "output_size": layer.config.output_size,
        "adapter": its_adapter,
    }
    data_id = split_revision(arguments["data"])[0] if is_repo_id(arguments["data"]) else None
    card = model_card(
        "low-rank", repo_id, config, parameters, licence, evaluations, data=statement.data, data_id=data_id,
        base=(base_id, base_commit), low_rank=facts, calibration=calibration,
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")


def _record(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    for name in ("run.json", "result.json"):
        if not (run / name).is_file():
            raise InputError(f"{run} has no {name}: give the folder of a finished `crossspec lowrank fit`")
    return read_json(run / "run.json")["arguments"], read_json(run / "result.json")
