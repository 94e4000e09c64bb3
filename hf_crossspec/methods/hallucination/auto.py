"""Hallucination for transformers: configuration and model, registered with the Auto classes on import."""

from transformers import AutoConfig, AutoModel

from hf_crossspec.methods.hallucination.configuration_hallucination import HallucinatorConfig
from hf_crossspec.methods.hallucination.modeling_hallucination import CrossSpectralHallucinator, HallucinatorOutput

AutoConfig.register(HallucinatorConfig.model_type, HallucinatorConfig)
AutoModel.register(HallucinatorConfig, CrossSpectralHallucinator)
HallucinatorConfig.register_for_auto_class()
CrossSpectralHallucinator.register_for_auto_class("AutoModel")

__all__ = ["CrossSpectralHallucinator", "HallucinatorConfig", "HallucinatorOutput"]
