"""Which parameters are tuned: a scope's name -> one plain PEFT configuration.

PEFT's LayerNorm tuning copies the modules it is given and trains the copies; it works on any leaf module, so the stem's
convolution and a stage's layers travel in the same adapter, which plain `peft` loads.
"""

from __future__ import annotations

from peft import LNTuningConfig, PeftConfig, PeftModel, TaskType

from hf_crossspec.errors import InputError
from hf_crossspec.methods.selective_tuning.config import DEFAULT_SCOPE, SCOPES

LAYER_NORMS = (r"stem\.1", r"stages\.\d+\.blocks\.\d+\.norm(?:_xca)?", r"stages\.\d+\.downsample\.0", r"head\.norm")
STEM = (r"stem\.0",)
CONVOLUTIONS = (r"conv_dw", r"convs\.\d+", r"pos_embd\.token_projection")
LINEARS = (r"xca\.qkv", r"xca\.proj", r"mlp\.fc1", r"mlp\.fc2")


def selective_tuning_config(scope: str = DEFAULT_SCOPE, low_rank: bool = False) -> LNTuningConfig:
    """The PEFT configuration of a scope, for any size of EdgeFace.

    Args:
        scope: `ln` tunes every LayerNorm; `+stem` adds the stem's convolution; `+stage0`, `+stages01`, `+stages012`
            add the convolutions and linear layers of the first one, two or three stages. Parameters that are not in a
            module of their own (layer scales, attention temperatures) stay frozen.
        low_rank: Whether the base has factorised linear layers (`config.low_rank_gamma` is set).

    Raises:
        InputError: an unknown scope.

    Example:
        >>> from peft import get_peft_model
        >>> from hf_crossspec import EdgeFaceConfig, EdgeFaceModel
        >>> model = get_peft_model(EdgeFaceModel(EdgeFaceConfig()), selective_tuning_config("ln+stem"))
        >>> model.get_nb_trainable_parameters()
        (4504, 1249248)
    """
    if scope not in SCOPES:
        raise InputError(f"unknown scope {scope!r}: choose one of {', '.join(SCOPES)}")
    leaves = list(LAYER_NORMS)
    if scope != "ln":
        leaves += STEM
    stages = "".join(character for character in scope if character.isdigit())
    if stages:
        linears = [rf"{name}\.linear[12]" for name in LINEARS] if low_rank else LINEARS
        inner = "|".join((*CONVOLUTIONS, *linears))
        leaves += [rf"stages\.[{stages}]\.blocks\.\d+\.(?:{inner})", rf"stages\.[{stages}]\.downsample\.1"]
    return LNTuningConfig(target_modules=rf"net\.(?:{'|'.join(leaves)})", task_type=TaskType.FEATURE_EXTRACTION)


def scope_of(config: PeftConfig) -> str:
    """Name of the scope of an adapter; "of its own" for layers that are none of ours."""
    targets = getattr(config, "target_modules", None)
    for scope in SCOPES:
        if targets in [selective_tuning_config(scope, low_rank).target_modules for low_rank in (False, True)]:
            return scope
    return "of its own"


def trainable_parameters(model: PeftModel) -> int:
    """Number of parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
