"""Adapt a small visible-light face recogniser to another spectrum, measure what it gained and kept, and share it.

Importing the package is cheap: the names below are loaded on first use. As soon as transformers' Auto classes are
imported, in whatever order, they know EdgeFace and low-rank embeddings.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import wrapt

__version__ = "0.1.0"

_HOMES = {
    "AcquiredFace": "hf_crossspec.faces.acquisition",
    "BulkOptions": "hf_crossspec.recognition.bulk.folder",
    "Calibration": "hf_crossspec.evaluation.calibration_file",
    "CrossSpectralHallucinator": "hf_crossspec.methods.hallucination.auto",
    "Decision": "hf_crossspec.recognition.results",
    "EdgeFaceConfig": "hf_crossspec.edgeface",
    "EdgeFaceImageProcessor": "hf_crossspec.edgeface.image_processing_edgeface",
    "EdgeFaceModel": "hf_crossspec.edgeface",
    "FaceEmbedder": "hf_crossspec.embedding",
    "FaceEmbeddingPipeline": "hf_crossspec.edgeface.pipeline_edgeface",
    "FailureReason": "hf_crossspec.faces.acquisition",
    "FailureToAcquire": "hf_crossspec.faces.acquisition",
    "HallucinationArguments": "hf_crossspec.methods.hallucination.config",
    "HallucinatorConfig": "hf_crossspec.methods.hallucination.auto",
    "InputError": "hf_crossspec.errors",
    "LowRankArguments": "hf_crossspec.methods.low_rank.config",
    "LowRankEmbedding": "hf_crossspec.methods.low_rank.modeling_low_rank",
    "PretrainingArguments": "hf_crossspec.methods.pretraining.train",
    "Recognizer": "hf_crossspec.recognition.recognizer",
    "SelectiveTuningArguments": "hf_crossspec.methods.selective_tuning.config",
    "acquire_face": "hf_crossspec.faces.acquisition",
    "build_protocol": "hf_crossspec.data.protocols",
    "calibrate": "hf_crossspec.evaluation.calibration",
    "convert_checkpoint": "hf_crossspec.edgeface.convert_edgeface",
    "embed_in_bulk": "hf_crossspec.recognition.bulk",
    "evaluate_identification": "hf_crossspec.evaluation",
    "evaluate_model": "hf_crossspec.evaluation.runner",
    "evaluate_verification": "hf_crossspec.evaluation",
    "fit_low_rank": "hf_crossspec.methods.low_rank.fit",
    "hallucinate_faces": "hf_crossspec.methods.hallucination.apply",
    "load_adapters": "hf_crossspec.adapters",
    "load_faces": "hf_crossspec.data.schema",
    "load_spectralfaces": "hf_crossspec.data.synthetic",
    "make_detector": "hf_crossspec.faces.detection",
    "mine_patches": "hf_crossspec.methods.hallucination.patches",
    "open_gallery": "hf_crossspec.recognition.gallery",
    "prepare_pictures": "hf_crossspec.data.prepare",
    "prepare_protocol": "hf_crossspec.data.protocols",
    "pretrain": "hf_crossspec.methods.pretraining.train",
    "register_detector": "hf_crossspec.faces.detection",
    "selective_tuning_config": "hf_crossspec.methods.selective_tuning.scopes",
    "train_adapter": "hf_crossspec.methods.selective_tuning.train",
    "train_hallucinator": "hf_crossspec.methods.hallucination.train",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Importing timm and torchvision makes many objects and no garbage; looking for it takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _register_model(module: ModuleType) -> None:
    with _collector_paused():
        import_module("hf_crossspec.edgeface")
        import_module("hf_crossspec.methods.hallucination.auto")
        import_module("hf_crossspec.methods.low_rank.loading")


@wrapt.when_imported("transformers.models.auto.image_processing_auto")
def _load_image_processor(module: ModuleType) -> None:
    import_module("hf_crossspec.edgeface.image_processing_edgeface")


@wrapt.when_imported("hf_crossspec.edgeface.image_processing_edgeface")
def _register_image_processor(module: ModuleType) -> None:
    processor = module.EdgeFaceImageProcessor
    config = import_module("hf_crossspec.edgeface").EdgeFaceConfig
    auto_class = import_module("transformers.models.auto.image_processing_auto").AutoImageProcessor
    auto_class.register(config, image_processor_classes={"torchvision": processor})
    processor.register_for_auto_class("AutoImageProcessor")


@wrapt.when_imported("transformers.pipelines")
def _load_pipeline(module: ModuleType) -> None:
    import_module("hf_crossspec.edgeface.pipeline_edgeface")


@wrapt.when_imported("hf_crossspec.edgeface.pipeline_edgeface")
def _register_pipeline(module: ModuleType) -> None:
    registry = import_module("transformers.pipelines").PIPELINE_REGISTRY
    auto_model = import_module("transformers").AutoModel
    registry.register_pipeline("face-embedding", module.FaceEmbeddingPipeline, pt_model=auto_model, type="image")
