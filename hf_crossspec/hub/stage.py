"""What would be published, as a folder with its card: models. Everything is checked here, before anything leaves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig
from safetensors.torch import load_file

from hf_crossspec.adapters import load_adapters
from hf_crossspec.edgeface import EdgeFaceConfig, EdgeFaceModel
from hf_crossspec.embedding import load_base, weights_fingerprint
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.calibration_file import FILE_NAME, Calibration
from hf_crossspec.files import read_json
from hf_crossspec.hub.card import model_card
from hf_crossspec.hub.client import HubClient
from hf_crossspec.hub.evidence import Evaluation, collect_evidence, read_reports
from hf_crossspec.hub.licences import derived_licence
from hf_crossspec.hub.source import ADAPTER_FILES, adapter_folder, is_repo_id, split_revision
from hf_crossspec.methods.selective_tuning.scopes import scope_of

MERGE_TOLERANCE = 1e-6
SHOWN_ARGUMENTS = (
    "source_modality", "target_modality", "epochs", "batch_size", "learning_rate", "distill_weight", "margin", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """What the publisher says of a model, for its card.

    Args:
        reports: Files of `crossspec evaluate --json`, of exactly the published weights and of their base.
        data: What it was trained on and on which terms.
        licence: Licence to publish under; `None` inherits the weights'.
    """

    reports: Sequence[str | Path] = ()
    data: str | None = None
    licence: str | None = None


def stage_base(model: str | Path, repo_id: str, statement: Statement, folder: Path) -> None:
    """A model folder with its code, its processor and a card.

    Raises:
        InputError: not an EdgeFace, an unknown licence, or reports of other weights.
    """
    network, processor = load_edgeface(model)
    recorded = network.config.weights_license
    licence = derived_licence(recorded or statement.licence, statement.licence)
    network.config.weights_license = licence
    own = weights_fingerprint(network)
    evaluations = collect_evidence(read_reports(statement.reports), own, own)
    calibration = calibration_of(model, own)
    _save(network, processor, folder)
    if calibration:
        calibration.save(folder / FILE_NAME)
    card = model_card(
        "base", repo_id, network.config, network.num_parameters(), licence, evaluations, data=statement.data,
        calibration=calibration,
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")


def stage_adapter(
    run: str | Path, repo_id: str, base: str | None, statement: Statement, folder: Path, client: HubClient
) -> None:
    """An adapter's two files and a card; the configuration names the base by its Hub id and commit.

    Args:
        run: Folder that `crossspec train` wrote.
        base: Hub id of the base, perhaps with a revision; `None` takes the one it was trained from.

    Raises:
        InputError: no such run, a base that is not on the Hub or has other weights, a licence or a report that does not
            fit.
    """
    adapted = _Adapted.prepare(run, base, statement, client)
    config = adapted.adapter.config
    config.base_model_name_or_path, config.revision = adapted.base
    config.save_pretrained(str(folder))
    shutil.copyfile(adapted.adapter.weights, folder / ADAPTER_FILES[1])
    adapted.write_card("adapter", repo_id, folder, adapted.own_sha256)


def stage_merged(
    run: str | Path, repo_id: str, base: str | None, statement: Statement, folder: Path, client: HubClient
) -> None:
    """Base and adapter as one model, which must embed as the two do to 1e-6.

    Args, Raises: as `stage_adapter`.
    """
    adapted = _Adapted.prepare(run, base, statement, client)
    size = adapted.config.image_size
    pictures = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = adapted.network(pixel_values=pictures).embeddings
    merged = adapted.network.merge_and_unload()
    merged.config.weights_license = adapted.licence
    target = adapted.adapter.arguments["target_modality"]
    merged.config.weights_source = f"{adapted.base[0]} at {adapted.base[1]}, with an adapter for {target}"
    _save(merged, adapted.processor, folder)
    _refuse_other_embeddings(folder, pictures, expected)
    adapted.write_card("merged", repo_id, folder, weights_fingerprint(merged))


@dataclass(frozen=True)
class _Adapted:
    """A base from the Hub with a trained adapter on it, all claims about them checked."""

    adapter: _TrainedAdapter
    base: tuple[str, str]
    network: Any
    processor: Any
    parameters: int
    licence: str
    statement: Statement
    own_sha256: str
    evaluations: list[Evaluation]
    calibration: Calibration | None

    @classmethod
    def prepare(cls, run: str | Path, base: str | None, statement: Statement, client: HubClient) -> _Adapted:
        adapter = _TrainedAdapter.read(run)
        base_id, commit = client.commit_of(base or adapter.arguments["base"])
        network, processor = load_edgeface(f"{base_id}@{commit}")
        parameters, base_sha256 = network.num_parameters(), weights_fingerprint(network)
        if base_sha256 != adapter.arguments["base_sha256"]:
            raise InputError(f"{base_id} has other weights than the base that {run} was trained on")
        licence = inherited_licence(network, statement, client.licence_of(base_id, commit), base_id)
        adapted = load_adapters(network, {"default": adapter.folder})
        own = weights_fingerprint(adapted)
        evaluations = collect_evidence(read_reports(statement.reports), base_sha256, own)
        calibration = calibration_of(adapter.folder, own)
        return cls(
            adapter,
            (base_id, commit),
            adapted,
            processor,
            parameters,
            licence,
            statement,
            own,
            evaluations,
            calibration,
        )

    @property
    def config(self) -> EdgeFaceConfig:
        """Configuration of the base, or of the merged network."""
        return self.network.config

    def write_card(self, kind: str, repo_id: str, folder: Path, published_sha256: str) -> None:
        """README.md and the calibration, of the adapter or of the merged model."""
        if self.calibration:
            replace(self.calibration, weights_sha256=published_sha256).save(folder / FILE_NAME)
        card = model_card(
            kind, repo_id, self.config, self.parameters, self.licence, self.evaluations, data=self.statement.data,
            data_id=self.adapter.data_id, base=self.base, adapter=self.adapter.facts(), calibration=self.calibration,
        )  # fmt: skip
        (folder / "README.md").write_text(card, encoding="utf-8")


@dataclass(frozen=True)
class _TrainedAdapter:
    """A finished run of `crossspec train`."""

    folder: Path
    arguments: dict[str, Any]
    result: dict[str, Any]

    @classmethod
    def read(cls, run: str | Path) -> _TrainedAdapter:
        folder = adapter_folder(run)
        for name in ("run.json", "result.json"):
            if not (folder / name).is_file():
                raise InputError(f"{run} has no {name}: give the folder of a finished `crossspec train`")
        return cls(folder, read_json(folder / "run.json"), read_json(folder / "result.json"))

    @property
    def data_id(self) -> str | None:
        """Hub id of the training data; `None` for data that are not there."""
        return split_revision(self.arguments["data"])[0] if is_repo_id(self.arguments["data"]) else None

    @property
    def config(self) -> PeftConfig:
        """The adapter's PEFT configuration."""
        return PeftConfig.from_pretrained(str(self.folder))

    @property
    def weights(self) -> Path:
        """The adapter's safetensors file."""
        return self.folder / ADAPTER_FILES[1]

    def facts(self) -> dict[str, Any]:
        """What a card says of the adapter."""
        return {
            **{name: self.arguments[name] for name in SHOWN_ARGUMENTS},
            "scope": scope_of(self.config),
            "trainable": f"{sum(tensor.numel() for tensor in load_file(self.weights).values()):,}",
            "bytes": f"{self.weights.stat().st_size:,}",
            "steps": self.result["steps"],
            "subjects": len(self.result["trained_subjects"]),
        }


def calibration_of(source: str | Path, weights_sha256: str) -> Calibration | None:
    """The calibration that lies beside the weights; one of other weights is refused."""
    path = Path(source) / FILE_NAME
    return Calibration.load(path, weights_sha256) if path.is_file() else None


def load_edgeface(source: str | Path) -> tuple[EdgeFaceModel, Any]:
    network, processor = load_base(source)
    assert isinstance(network, EdgeFaceModel)
    return network.eval(), processor


def inherited_licence(network: EdgeFaceModel, statement: Statement, stated: str | None, base_id: str) -> str:
    """The licence of something made from this base, whose configuration and card must agree."""
    recorded = network.config.weights_license
    if recorded and stated and recorded != stated:
        raise InputError(f"{base_id} says {stated} in its card and {recorded} in its config.json: clear that up first")
    return derived_licence(recorded or stated, statement.licence)


def _save(network: EdgeFaceModel, processor: Any, folder: Path) -> None:
    network.save_pretrained(folder)
    processor.save_pretrained(folder)


def _refuse_other_embeddings(folder: Path, pictures: torch.Tensor, expected: torch.Tensor) -> None:
    again, _ = load_edgeface(folder)
    with torch.inference_mode():
        difference = float((again(pixel_values=pictures).embeddings - expected).abs().max())
    if not difference <= MERGE_TOLERANCE:
        raise InputError(f"the merged model differs from base and adapter by {difference:.1e}: it is not published")
