"""Cards: the front matter that the Hub reads and the text that people read, filled from facts, with no field left open.

Everything that comes from outside (names of modalities and data, descriptions) is written as plain text: markup and
line breaks in it lose their meaning.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData, RepoCard
from jinja2 import Environment, StrictUndefined

from hf_crossspec import __version__
from hf_crossspec.edgeface import EdgeFaceConfig
from hf_crossspec.errors import InputError, one_line
from hf_crossspec.evaluation.calibration_file import Calibration, Rate
from hf_crossspec.hub.evidence import SHOWN, Evaluation
from hf_crossspec.hub.licences import KNOWN, is_non_commercial

TASK = "image-feature-extraction"
THRESHOLD_METRICS = {"tar_at_fmr_1e-2": "1 %", "tar_at_fmr_1e-3": "0.1 %"}


class Verbatim(str):
    """Text of our own making that goes into a card as it is."""

    __slots__ = ()


def plain(value: Any) -> Any:
    """A string from outside as one line without markup; anything else as it is."""
    if not isinstance(value, str) or isinstance(value, Verbatim):
        return value
    text = html.escape(" ".join(value.split()).lstrip("#>-+*=~_ "), quote=False)
    return text.replace("`", "'").replace("|", "/").replace("](", "] (").replace("{", "(").replace("}", ")")


def render(template: str, facts: dict[str, Any]) -> str:
    """Fill a card's template; a fact that is missing is an error of ours, not an empty field."""
    environment = Environment(undefined=StrictUndefined, finalize=plain, keep_trailing_newline=True)
    return environment.from_string(template).render(facts)


def template(name: str) -> str:
    """The text of a template; the model's lies at the root of the repository, and in the package once it is built."""
    packaged = files("hf_crossspec") / "hub" / "templates" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / name).read_text(encoding="utf-8")


def read_card(folder: Path) -> RepoCard | None:
    """The card in a folder, if it has one.

    Raises:
        InputError: front matter that cannot be read.
    """
    path = folder / "README.md"
    if not path.is_file():
        return None
    try:
        return RepoCard.load(path, ignore_metadata_errors=False)
    except ValueError as error:
        raise InputError(f"{path} has no readable front matter: {one_line(error)}") from error


def model_card(
    kind: str,
    repo_id: str,
    config: EdgeFaceConfig,
    parameters: int,
    licence: str,
    evaluations: Sequence[Evaluation],
    *,
    data: str | None = None,
    data_id: str | None = None,
    base: tuple[str, str] | None = None,
    adapter: dict[str, Any] | None = None,
    low_rank: dict[str, Any] | None = None,
    calibration: Calibration | None = None,
) -> str:
    """The README.md of a model.

    Args:
        kind: `base`, `adapter`, `merged` or `low-rank`.
        repo_id: Where it will be published, `owner/name`.
        parameters: Number of parameters of the whole network.
        licence: Of these weights.
        evaluations: What was measured with exactly these weights.
        data: What it was trained on and on which terms, in the publisher's words.
        data_id: Hub id of the training data, if they are there.
        base: Hub id and commit of the base.
        adapter: Scope, modalities and training of an adapter.
        low_rank: Sizes, modalities and fit of a low-rank embedding, and the adapter before it.
        calibration: Thresholds that were set on a development split; without, those of the evaluations are shown.
    """
    made = adapter or low_rank
    target = None if made is None else made["target_modality"]
    facts = {
        "card_data": Verbatim(_front_matter(kind, repo_id, licence, evaluations, base, data_id)),
        "kind": kind,
        "repo_id": Verbatim(repo_id),
        "title": repo_id.split("/")[1],
        "summary": _summary(kind, config, made, base),
        "base_id": base and Verbatim(base[0]),
        "base_revision": base and Verbatim(base[1]),
        "variant": config.variant or "a size of its own",
        "parameters": f"{parameters:,}",
        "embedding_size": config.embedding_size,
        "image_size": config.image_size,
        "weights_source": config.weights_source or "trained by the publisher",
        "adapter": adapter,
        "low_rank": low_rank,
        "data": data or _data_unstated(made),
        "evaluations": [_shown(evaluation, target) for evaluation in evaluations],
        "thresholds": _calibrated(calibration) if calibration else [row for e in evaluations for row in _observed(e)],
        "calibrated": calibration is not None,
        "intended_use": _intended_use(licence),
        "licence": _licence_text(licence, base),
        "version": __version__,
    }
    return render(template("model_card.md"), facts)


def _front_matter(
    kind: str,
    repo_id: str,
    licence: str,
    evaluations: Sequence[Evaluation],
    base: tuple[str, str] | None,
    data_id: str | None,
) -> str:
    known = licence in KNOWN
    results = [result for evaluation in evaluations for result in _eval_results(evaluation)]
    data = ModelCardData(
        license=licence if known else "other",
        license_name=None if known else licence,
        library_name="peft" if kind == "adapter" else "transformers",
        base_model=base and base[0],
        base_model_relation={"adapter": "adapter", "merged": "finetune", "low-rank": "adapter"}.get(kind),
        pipeline_tag=TASK,
        tags=["face-recognition", "cross-spectral", "heterogeneous-face-recognition", "edgeface"],
        datasets=None if data_id is None else [data_id],
        model_name=repo_id.split("/")[1] if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()


def _eval_results(evaluation: Evaluation) -> list[EvalResult]:
    """The published weights' figures in the form of the Hub's model-index; a base has no `after`."""
    report = evaluation.measured
    return [
        EvalResult(
            task_type=TASK,
            task_name=plain(f"Face recognition, {evaluation.title}"),
            dataset_type=plain(evaluation.data),
            dataset_name=plain(evaluation.data),
            dataset_config=plain(evaluation.comparison),  # tells the results on one data set apart
            dataset_split=evaluation.split,
            metric_type=name,
            metric_name=f"{title}, per cent",
            metric_value=round(100 * report["metrics"][name]["value"], 2),
            metric_args={
                "low": round(100 * report["metrics"][name]["low"], 2),
                "high": round(100 * report["metrics"][name]["high"], 2),
                "n": report["metrics"][name]["n"],
            },
        )
        for name, title in SHOWN.items()
        if name in report["metrics"] and report["metrics"][name].get("supported", True)
    ]


def _summary(kind: str, config: EdgeFaceConfig, made: dict[str, Any] | None, base: tuple[str, str] | None) -> str:
    size = f"EdgeFace {config.variant}" if config.variant else "a small EdgeFace"
    if made is None or base is None:
        return f"A face embedding network, {size}, as a transformers model."
    spectra = f"to recognise {made['target_modality']} pictures against {made['source_modality']} ones"
    if kind == "low-rank":
        return f"A linear layer (PCA and low-rank transform) that helps {base[0]} ({size}) {spectra}."
    if kind == "adapter":
        return f"A PEFT adapter that teaches {base[0]} ({size}) {spectra}; switched off, it leaves the base as it was."
    return f"{base[0]} ({size}) with an adapter folded in that teaches it {spectra}; it costs nothing extra to run."


def _data_unstated(made: dict[str, Any] | None) -> str:
    if made is None:
        return "The publisher has not said what these weights were trained on. Ask before you rely on them."
    return (
        f"Trained on {made['source_modality']} and {made['target_modality']} pictures of "
        f"{made['subjects']} subjects. The publisher has not said which, nor on what terms."
    )


def _shown(evaluation: Evaluation, target: str | None) -> dict[str, Any]:
    counts = evaluation.measured["counts"]
    text = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
    retention = target is not None and not evaluation.concerns(target)
    return {"title": evaluation.title, "rows": evaluation.rows, "counts": f"{text}.", "retention": retention}


def _observed(evaluation: Evaluation) -> list[dict[str, str]]:
    report = evaluation.measured
    modalities = (
        f"{evaluation.probe_modality}, {evaluation.gallery_modality}" if evaluation.pairs is None else evaluation.pairs
    )
    return [
        {
            "modalities": modalities,
            "data": evaluation.data,
            "target": target,
            "threshold": f"{metric['threshold']:.4f}",
            "fmr": f"{100 * metric['fmr']:.3f} %",
            "tar": f"{100 * metric['value']:.2f} %",
            "non_mated": f"{report['counts']['non_mated']:,}",
        }
        for name, target in THRESHOLD_METRICS.items()
        if (metric := report["metrics"].get(name)) and metric["supported"]
    ]


def _calibrated(calibration: Calibration) -> list[dict[str, str]]:
    """Thresholds of a calibration, with what was seen on the test subjects, or on the development subjects alone."""
    rows = []
    for pair in calibration.pairs:
        for entry in pair.thresholds:
            seen, split = (entry.test, "test") if entry.test else (entry.development, "development")
            rows.append(
                {
                    "modalities": ", ".join(pair.modalities),
                    "data": f"{split} subjects",
                    "target": f"{100 * entry.fmr:g} %",
                    "threshold": f"{entry.threshold:.4f}",
                    "fmr": _rate(seen.fmr),
                    "tar": f"{100 - 100 * seen.fnmr.value:.2f} %",
                    "non_mated": f"{seen.fmr.n:,}",
                }
            )
    return rows


def _rate(rate: Rate) -> str:
    return f"{100 * rate.value:.3f} % [{100 * rate.low:.3f}, {100 * rate.high:.3f}]"


def _intended_use(licence: str) -> str:
    purpose = "Research and other non-commercial work" if is_non_commercial(licence) else "Research and applications"
    return f"{purpose} that compare aligned faces of consenting people across the modalities measured above."


def _licence_text(licence: str, base: tuple[str, str] | None) -> str:
    inherited = f" It follows from that of the base, {base[0]}." if base else ""
    limit = " Commercial use is not allowed." if is_non_commercial(licence) else ""
    return f"The weights are under {licence}.{inherited}{limit} The code in this repository is under apache-2.0."
